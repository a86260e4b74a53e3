"""A Dask cluster of two nodes, whose workers have no delivery installed; nodes come and go, workers are killed."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cluster.dask_nodes import DaskNodes
from projects import Project
from waiting import until

from tg.common.delivery.cluster.dask_executor import DaskExecutor
from tg.common.delivery.runtime.errors import ClusterProblem, DependencyProblem
from tg.common.delivery.trust import Policy

pytestmark = [
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the cluster is started by Python 3.11 alone"),
    pytest.mark.xdist_group("dask"),  # they share one cluster
]


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskNodes]:
    """A scheduler and a node with two workers."""
    nodes = DaskNodes(tmp_path_factory.mktemp("dask"))
    nodes.add("first", workers=2)
    yield nodes
    nodes.close()


@pytest.fixture
def executor(nodes: DaskNodes) -> Iterator[DaskExecutor]:
    """What runs packages there."""
    with DaskExecutor(nodes.address, policy=Policy.any()) as executor:
        executor.engine.client.wait_for_workers(2)
        yield executor


@pytest.fixture
def memory_disk() -> Iterator[Path]:
    """A folder of another file system: what is in it has to be sent to the scheduler."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_a_job_runs_on_a_worker_and_says_what_it_does(executor: DaskExecutor, package: Path) -> None:
    run = executor.start(package)
    lines = list(run.logs())
    assert [line.partition(": ")[2] for line in lines][:2] == ["Welcome to Training Grounds!", "Loading job"]
    assert any(line.endswith("item 1") for line in lines)
    assert run.result() == 2
    assert run.state == "succeeded"
    assert f"ClusterRun <b>{run.id}</b>" in run._repr_html_()


def test_every_item_has_one_result_while_workers_are_killed_and_nodes_come_and_go(
    executor: DaskExecutor, nodes: DaskNodes, package: Path, memory_disk: Path
) -> None:
    workers = executor.engine.client.nthreads
    copied = Path(shutil.copy(package, memory_disk))
    run = executor.map(copied, range(10_000), method="here", batch_size=5)
    results, homes = [], set()
    to_come = ["a worker is killed", "a node is added", "it works", "it is removed", "another one works"]
    try:
        for item, pid, home in run:
            results.append(item)
            homes.add(home)
            if len(results) < 100:
                continue
            if to_come[0] == "a worker is killed":
                os.kill(pid, signal.SIGKILL)
            elif to_come[0] == "a node is added":
                copied.unlink()  # nodes that come later have it from the scheduler
                nodes.add("second", nanny=False)
                until(lambda: len(workers()) == 3)
            elif to_come[0] == "it is removed":
                nodes.remove("second")
                until(lambda: len(workers()) == 2)
                nodes.add("third", nanny=False)
                until(lambda: len(workers()) == 3)
            elif str(nodes.home("second" if to_come[0] == "it works" else "third")) not in homes:
                continue
            if len(to_come) > 1:
                to_come.pop(0)
        assert results == list(range(10_000))
        assert run.state == "succeeded"
        assert to_come == ["another one works"]
        assert homes == {str(nodes.home(name)) for name in ("first", "second", "third")}
        for name in ("first", "second", "third"):
            assert [folder.name for folder in nodes.home(name).glob("store/*/many__1_0_0")] == ["many__1_0_0"]
    finally:
        for name in ("second", "third"):
            with suppress(KeyError):  # it has been removed, or was never added
                nodes.remove(name)
    until(lambda: len(workers()) == 2)


def test_an_item_that_ends_its_worker_fails_alone(executor: DaskExecutor, package: Path) -> None:
    run = executor.map(package, range(12, 16), method="end", batch_size=1)
    assert [one.value for one in run.outcomes()] == [12, None, 14, 15]
    assert list(run.failures) == [1]
    assert run.failures[1].error_type == "WorkerEnded"


def test_a_result_that_is_lost_with_its_worker_is_made_again(executor: DaskExecutor, package: Path) -> None:
    run = executor.map(package, [1], method="late", batch_size=1)
    (future,) = executor.engine._futures.values()  # type: ignore[attr-defined]
    until(lambda: future.status == "finished")
    client = executor.engine.client  # type: ignore[attr-defined]
    ((holder,),) = client.who_has([future]).values()
    client.run(
        os.kill, client.run(os.getpid, workers=[holder])[holder], signal.SIGKILL, workers=[holder], on_error="return"
    )
    until(lambda: future.status == "lost")
    ((item, _process),) = run.result()
    assert item == 1


def test_equal_arguments_are_not_taken_from_an_earlier_run(executor: DaskExecutor, package: Path) -> None:
    first, second = (executor.map(package, [1, 1], method="when", batch_size=1).result() for _ in range(2))
    assert len({*first, *second}) == 4


def test_big_buffers_lie_once_on_a_node_and_are_mapped_by_its_workers(
    executor: DaskExecutor, nodes: DaskNodes, cluster_project: Project
) -> None:
    cluster_project.write(
        "tg/many/big.py",
        """
        import numpy as np
        from .job import Job
        """,
    )
    package = cluster_project.deliver("big", "1", job="tg.many.big:Job(2, np.ones(500_000))")
    results = executor.map(package, range(8), method="mapped", batch_size=1).result()
    assert {total for _, total, _ in results} == {500_000.0}
    assert all(mapped == 1 for _, _, mapped in results)
    assert len({pid for pid, _, _ in results}) == 2
    stored = list(nodes.home("first").glob("store/*/big__1/resources/job.buffers/*"))
    assert [file.stat().st_size for file in stored] == [4_000_000]


def test_two_versions_are_at_work_on_the_same_workers(executor: DaskExecutor, cluster_project: Project) -> None:
    one, two = (
        cluster_project.deliver("side_by_side", version, job=f"tg.many.job:Job({version})") for version in ("1", "2")
    )
    first = iter(executor.map(one, range(200), batch_size=5))
    results = [next(first) for _ in range(100)]
    assert executor.map(two, range(200), batch_size=5).result() == [2 * item for item in range(200)]
    assert [*results, *first] == list(range(200))


def test_a_run_goes_on_when_its_starter_has_left_and_is_found_by_another_process(
    nodes: DaskNodes, executor: DaskExecutor, cluster_project: Project, tmp_path: Path
) -> None:
    file = tmp_path / "go"
    many = cluster_project.deliver("detached_map", "1", job="tg.many.job:Job()")
    package = cluster_project.deliver("detached", "1", job=f"tg.many.job:Waiting({str(file)!r})")
    starter = f"""
        from tg.common.delivery.cluster.dask_executor import DaskExecutor
        with DaskExecutor({nodes.address!r}) as executor:
            print(executor.start({str(package)!r}).id)
            print(executor.map({str(many)!r}, range(100), detached=True).id)
    """
    job_id, map_id = cluster_project.run(starter).split()
    found = executor.find(job_id)
    lines = found.logs()
    assert any(line == "it has begun" for line in lines)
    assert found.state == "running"
    file.touch()
    assert found.result() == "it was there"
    later = f"""
        from tg.common.delivery.cluster.dask_executor import DaskExecutor
        with DaskExecutor({nodes.address!r}) as executor:
            print(sum(executor.find({map_id!r}).result()), [run.id for run in executor.runs()])
    """
    assert cluster_project.run(later).strip() == f"{2 * sum(range(100))} []"


def test_a_cancelled_job_leaves_its_worker_to_others(
    executor: DaskExecutor, cluster_project: Project, package: Path
) -> None:
    waiting = cluster_project.deliver("cancelled", "1", job="tg.many.job:Waiting(None)")
    runs = [executor.start(waiting) for _ in range(2)]
    for run in runs:
        assert any(line == "it has begun" for line in run.logs())
        run.cancel()
        assert executor.find(run.id).state == "cancelled"
        executor.remove(run.id)
    assert executor.map(package, range(10), batch_size=1).result() == [2 * item for item in range(10)]


def test_what_workers_lack_is_told_by_worker(executor: DaskExecutor, cluster_project: Project) -> None:
    needy = cluster_project.deliver(
        "needy",
        "1",
        job="tg.many.job:Job()",
        settings="packaging.dependencies = [DependencyList('mine', ['no-such-thing>=3'])]",
    )
    with pytest.raises(DependencyProblem, match="no-such-thing>=3 is not installed") as raised:
        executor.start(needy)
    assert sorted(raised.value.problems) == [
        f"{worker}: no-such-thing>=3 is not installed" for worker in sorted(executor.engine.client.nthreads())
    ]


def test_an_environment_of_its_own_is_on_the_node(nodes: DaskNodes, package: Path) -> None:
    with DaskExecutor(nodes.address, environment="isolated", policy=Policy.any()) as executor:
        prefixes = set(executor.map(package, range(4), method="prefix", batch_size=1).result())
    [prefix] = prefixes
    assert Path(prefix).parent == nodes.home("first") / "environments"


def test_nobody_at_an_address_is_told() -> None:
    with pytest.raises(ClusterProblem, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        DaskExecutor("tcp://127.0.0.1:1", connect_seconds=0.5)


def test_a_scheduler_that_ends_ends_the_runs(tmp_path: Path, package: Path) -> None:
    nodes = DaskNodes(tmp_path / "short")
    try:
        nodes.add("only", nanny=False)
        # So long its client tries to reach it again.
        with DaskExecutor(nodes.address, policy=Policy.any(), connect_seconds=5) as executor:
            run = executor.map(package, range(10_000), method="here", batch_size=10)
            results = iter(run)
            next(results)
            nodes.remove("scheduler")
            with pytest.raises(ClusterProblem, match="Start the run again"):
                list(results)
            assert run.state == "failed"
    finally:
        nodes.close()
