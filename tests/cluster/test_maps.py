"""What all engines have in common: batches, order, failures, logs, kept runs."""

from __future__ import annotations

import itertools
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.threads import ThreadEngine
from projects import Project
from wheels import write_wheel

from tg.common.delivery.cluster.cluster_executor import ClusterExecutor
from tg.common.delivery.cluster.cluster_run import ClusterRun
from tg.common.delivery.cluster.map_run import MapRun
from tg.common.delivery.runtime.errors import (
    DependencyProblem,
    ItemFailed,
    JobFailed,
    NotAJob,
    RunCancelled,
    RunNotFound,
    UndeliverablePayload,
    UntrustedPackage,
)
from tg.common.delivery.trust import Policy


def test_each_item_has_one_result_and_they_are_in_order(executor: ClusterExecutor, package: Path) -> None:
    with executor.map(package, range(1000)) as run:
        assert list(run) == [2 * item for item in range(1000)]
        assert run.state == "succeeded"


def test_the_package_is_fetched_once_for_a_node(
    executor: ClusterExecutor, engine: ThreadEngine, cluster_project: Project
) -> None:
    package = cluster_project.deliver("fetched", "1", job="tg.many.job:Job()")
    executor.map(package, range(100), batch_size=1).result()
    assert engine.fetched == 1


def test_items_are_taken_as_their_results_are(executor: ClusterExecutor, package: Path) -> None:
    taken = 0

    def endless() -> itertools.count[int]:
        nonlocal taken
        for item in itertools.count():
            taken = item + 1
            yield item

    with executor.map(package, endless(), batch_size=10) as run:
        for given, result in enumerate(itertools.islice(run.results(), 5000), 1):
            assert result == 2 * (given - 1)
            assert taken - given <= 10 * 2 * 48 * 3 + 10
    assert run.state == "cancelled"


def test_a_map_that_an_error_has_ended_does_not_go_on(executor: ClusterExecutor, package: Path) -> None:
    """What was under way then is lost; what is asked for later would be results with a gap."""

    def items() -> Iterator[int]:
        yield from range(100)
        raise OSError("the disk is gone")

    run = executor.map(package, items(), batch_size=1)
    for _ in range(2):
        with pytest.raises(OSError, match="the disk is gone"):
            run.result()
    assert run.state == "failed"


def test_batches_grow_as_long_as_they_are_short(executor: ClusterExecutor, engine: ThreadEngine, package: Path) -> None:
    assert len(executor.map(package, range(20_000), method="when").result()) == 20_000
    sizes = [len(pickle.loads(items)) for items in engine.submitted]
    assert sizes[0] == 1
    assert max(sizes) > 100


def test_an_item_fails_alone_and_is_told_by_its_index(executor: ClusterExecutor, package: Path) -> None:
    run = executor.map(package, range(20), method="odd", batch_size=5)
    outcomes = list(run.outcomes())
    assert [one.value for one in outcomes if one.error is None] == [item for item in range(20) if item != 13]
    assert list(run.failures) == [13]
    error = run.failures[13]
    assert (error.index, error.error_type) == (13, "ValueError")
    assert "item 13" in str(error)
    assert "many/job.py" in error.traceback
    assert run.state == "failed"


def test_results_can_be_gone_on_with_after_a_failed_one(executor: ClusterExecutor, package: Path) -> None:
    run = executor.map(package, range(12, 16), method="odd")
    results = run.results()
    assert next(results) == 12
    with pytest.raises(ItemFailed, match="item 1 of"):
        next(results)
    assert list(run.results()) == [14, 15]


def test_an_item_that_ends_its_workers_fails_alone(
    executor: ClusterExecutor, engine: ThreadEngine, package: Path
) -> None:
    engine.lose = lambda items: 13 in pickle.loads(items)
    run = executor.map(package, range(40), batch_size=16)
    assert [one.value for one in run.outcomes()] == [None if item == 13 else 2 * item for item in range(40)]
    assert run.failures[13].error_type == "WorkerEnded"
    assert list(run.failures) == [13]


def test_an_item_that_was_lost_beside_the_one_that_ends_workers_is_tried_again_alone(
    executor: ClusterExecutor, engine: ThreadEngine, package: Path
) -> None:
    lost_once = []

    def lose(items: bytes) -> bool:
        [item] = pickle.loads(items)
        beside = item in (12, 14) and item not in lost_once
        lost_once.append(item)
        return beside or item == 13

    engine.lose = lose
    run = executor.map(package, range(20), batch_size=1)
    assert [one.value for one in run.outcomes()] == [None if item == 13 else 2 * item for item in range(20)]
    assert lost_once.count(13) == 2


def test_what_cannot_be_pickled_fails_alone_on_either_side(executor: ClusterExecutor, package: Path) -> None:
    run = executor.map(package, [1, lambda: 2, 3, 4], method="unpicklable", batch_size=4)
    assert [one.value for one in run.outcomes()] == [1, None, None, 4]
    assert list(run.failures) == [1, 2]
    assert "cannot be pickled" in str(run.failures[2])


def test_an_item_that_cannot_be_read_there_fails_alone(executor: ClusterExecutor, package: Path) -> None:
    run = executor.map(package, [1, _Unreadable(), 3], batch_size=3)
    assert [one.value for one in run.outcomes()] == [2, None, 6]
    assert "nobody reads this" in str(run.failures[1])


def test_what_is_printed_and_logged_is_told_of_its_item(executor: ClusterExecutor, package: Path) -> None:
    run = executor.map(package, range(6), method="say", batch_size=2)
    logs = [one.log for one in run.outcomes()]
    for item, log in enumerate(logs):
        first, second = log.splitlines()
        assert first == f"printed for {item}"
        assert second.endswith(f"INFO: logged for {item}")
    lines = list(run.logs())
    assert sorted(line for line in lines if line.startswith("printed")) == [f"printed for {item}" for item in range(6)]
    assert len(lines) == 12


def test_how_far_it_has_come_is_drawn_where_it_is_asked_for(
    engine: ThreadEngine, package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ClusterExecutor(engine, policy=Policy.any()).map(package, range(50)).result()
    assert capfd.readouterr().err == ""
    ClusterExecutor(engine, policy=Policy.any(), progress=True).map(package, range(50)).result()
    assert "50/50" in capfd.readouterr().err


def test_items_and_results_are_of_the_local_tree_on_this_side(cluster_project: Project) -> None:
    cluster_project.write(
        "tg/many/points.py",
        """
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Point:
            x: int

        class Move:
            def run(self, point):
                assert type(point) is Point, type(point)
                return Point(point.x + 1)
        """,
    )
    printed = cluster_project.run(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from cluster.threads import ThreadEngine
        from tg.common.delivery.cluster.cluster_executor import ClusterExecutor
        from tg.common.delivery.delivery import Packaging
        from tg.many.points import Move, Point
        packaging = Packaging("move", "1", dict(job=Move()))
        packaging.silent = True
        engine = ThreadEngine()
        print(list(ClusterExecutor(engine).map(packaging, [Point(1), Point(2)])) == [Point(2), Point(3)])
        engine.close()
    """)
    assert printed == "True\n"


def test_a_job_that_cannot_be_loaded_ends_the_run(executor: ClusterExecutor, cluster_project: Project) -> None:
    cluster_project.write(
        "tg/many/fragile.py",
        """
        class Fragile:
            def __setstate__(self, state):
                raise ValueError("it does not load")
            def __getstate__(self):
                return {"some": "state"}
        """,
    )
    fragile = cluster_project.deliver("fragile", "1", job="tg.many.fragile:Fragile()")
    with pytest.raises(JobFailed, match="it does not load"):
        executor.map(fragile, range(100)).result()


def test_a_method_that_is_not_there_is_told(executor: ClusterExecutor, package: Path) -> None:
    with pytest.raises(NotAJob, match="no method 'fly'"):
        executor.map(package, [1], method="fly").result()


def test_a_run_is_found_until_its_result_was_taken(executor: ClusterExecutor, package: Path) -> None:
    run = executor.start(package)
    found = executor.find(run.id)
    assert isinstance(found, ClusterRun)
    assert found.wait() == 0
    assert any(line.endswith("item 1") for line in found.logs())
    assert found.result() == 2
    with pytest.raises(RunNotFound):
        executor.find(run.id)


def test_a_detached_map_is_found_until_its_results_were_taken(executor: ClusterExecutor, package: Path) -> None:
    run_id = executor.map(package, range(100), detached=True).id
    assert [run.id for run in executor.runs()] == [run_id]
    found = executor.find(run_id)
    assert isinstance(found, MapRun)
    assert found.result() == [2 * item for item in range(100)]
    assert executor.runs() == []


def test_a_detached_map_refuses_items_that_cannot_be_sent(executor: ClusterExecutor, package: Path) -> None:
    with pytest.raises(UndeliverablePayload, match="item 1 cannot be sent"):
        executor.map(package, [1, lambda: 2], detached=True)
    assert executor.runs() == []


def test_a_cancelled_run_is_one_from_everywhere(executor: ClusterExecutor, cluster_project: Project) -> None:
    waiting = cluster_project.deliver("waiting", "1", job="tg.many.job:Waiting(None)")
    run = executor.start(waiting)
    assert next(run.logs()).endswith("Welcome to Training Grounds!")
    executor.find(run.id).cancel()
    assert executor.find(run.id).state == "cancelled"
    with pytest.raises(RunCancelled):
        run.result()


def test_a_task_that_is_not_wanted_any_more_ends(executor: ClusterExecutor, cluster_project: Project) -> None:
    waiting = cluster_project.deliver("waiting", "1", job="tg.many.job:Waiting(None)")
    for _ in range(3):  # of two threads: the third has none until one of them has ended
        run = executor.start(waiting)
        assert next(run.logs()).endswith("Welcome to Training Grounds!")
        run.cancel()


def test_what_workers_lack_is_told_before_anything_runs(executor: ClusterExecutor, cluster_project: Project) -> None:
    needy = cluster_project.deliver(
        "needy",
        "1",
        job="tg.many.job:Job()",
        settings="packaging.dependencies = [DependencyList('mine', ['no-such-thing>=3', 'packaging<1'])]",
    )
    with pytest.raises(DependencyProblem) as raised:
        executor.map(needy, [1])
    assert "no-such-thing>=3 is not installed" in str(raised.value)
    assert "packaging<1" in str(raised.value)
    assert threading.current_thread().name in raised.value.problems[0]


def test_an_environment_of_its_own_has_what_workers_lack(
    engine: ThreadEngine, cluster_project: Project, index: Path
) -> None:
    write_wheel(index, "only_there", {"only_there.py": b"NUMBER = 7"})
    cluster_project.write(
        "tg/many/apart.py",
        """
        import os
        import time

        class Apart:
            def run(self, item=1):
                import only_there
                print(f"in {os.getpid()}")
                if item == 3:
                    os._exit(5)
                if item == 4:
                    raise ValueError("four")
                while item == 5:
                    time.sleep(0.01)
                return only_there.NUMBER * item
        """,
    )
    package = cluster_project.deliver(
        "apart",
        "1",
        job="tg.many.apart:Apart()",
        settings="packaging.dependencies = [DependencyList('mine', ['only_there'])]",
    )
    executor = ClusterExecutor(engine, environment="isolated", policy=Policy.any())
    run = executor.start(package)
    assert run.result() == 7
    assert any(line.startswith("in ") for line in run.logs())
    mapped = executor.map(package, [1, 2, 3, 4], batch_size=2)
    assert [one.value for one in mapped.outcomes()] == [7, 14, None, None]
    assert {index: error.error_type for index, error in mapped.failures.items()} == {2: "WorkerEnded", 3: "ValueError"}
    endless = executor.map(package, [5], batch_size=1)
    endless.cancel()
    assert executor.map(package, range(3), batch_size=1).result() == [0, 7, 14]


def test_only_what_is_trusted_goes_to_the_cluster(engine: ThreadEngine, package: Path) -> None:
    with pytest.raises(UntrustedPackage):
        ClusterExecutor(engine, policy=Policy.exactly()).map(package, [1])
    assert engine.submitted == []


def test_a_node_with_a_policy_judges_again(
    executor: ClusterExecutor, cluster_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = cluster_project.deliver("judged", "1", job="tg.many.job:Job()")
    policy = tmp_path / "policy.json"
    policy.write_text('{"digests": []}', encoding="utf-8")
    policy.chmod(0o600)
    monkeypatch.setenv("TG_POLICY", str(policy))
    with pytest.raises(UntrustedPackage, match="is not trusted"):
        executor.map(package, [1]).result()


class _Unreadable:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _raise, ("nobody reads this",)


def _raise(text: str) -> None:
    raise ValueError(text)
