"""Ray: three nodes on this machine, each with a store of its own, in a cluster that asks for a token."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cluster.ray_nodes import RayNodes, ray_environment, ray_nodes
from projects import REPOSITORY, Project
from waiting import until

from tg.common.delivery.cluster import RayExecutor
from tg.common.delivery.runtime.errors import DependencyProblem, RunCancelled, RunNotFound
from tg.common.delivery.trust import Policy

pytestmark = pytest.mark.xdist_group("ray")  # one cluster, which takes 20 seconds to start


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    """The cluster. What is done on it is the same on each Python, and Ray is big: that of development has it alone."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip(f"Ray is there for Python 3.11, and this is {sys.version_info[0]}.{sys.version_info[1]}")
    with ray_nodes(tmp_path_factory.mktemp("ray")) as nodes, pytest.MonkeyPatch.context() as patch:
        for name, value in ray_environment().items():
            patch.setenv(name, value)
        yield nodes


@pytest.fixture(scope="module")
def on_ray(nodes: RayNodes) -> Iterator[RayExecutor]:
    """This process as a driver of it."""
    with RayExecutor(nodes.address, policy=Policy.any(), progress=False) as executor:
        yield executor


def test_a_job_runs_on_a_worker_and_its_log_and_result_come_back(on_ray: RayExecutor, package: Path) -> None:
    run = on_ray.start(package)
    assert run.wait() == 0
    assert [line.partition(": ")[2] for line in run.logs() if "item" in line] == ["item 1"]
    assert run.result() == 2
    assert run.state == "succeeded"


def test_the_command_runs_it_there(nodes: RayNodes, cluster_project: Project) -> None:
    command = [
        sys.executable,
        "-m",
        "tg.common.cli",
        "run",
        "tg.many.job:Job",
        "--no-check",
        "--json",
        "--in",
        "ray://auto",
    ]
    environment = {**cluster_project.environment(), "RAY_ADDRESS": nodes.address}
    done = subprocess.run(
        command, cwd=cluster_project.folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == 2
    assert "INFO: item 1" in done.stderr


def test_versions_are_loaded_into_the_same_workers_beside_each_other(
    on_ray: RayExecutor, cluster_project: Project
) -> None:
    packages = [cluster_project.deliver("many", f"1.{n}", job=f"tg.many.job:Job({n})") for n in range(3)]
    assert [on_ray.map(one, range(5)).result() for one in packages] == [[n * i for i in range(5)] for n in range(3)]
    workers: set[int] = set()

    def all_are_there() -> bool:  # those of other nodes are still being started
        workers.update(workers_of(on_ray, packages[0], 60))
        return len(workers) >= 3

    until(all_are_there)
    for one in (*packages, packages[0]):
        assert workers_of(on_ray, one, 60) <= workers


def test_each_node_has_the_package_in_its_store(on_ray: RayExecutor, nodes: RayNodes, cluster_project: Project) -> None:
    homes: set[str] = set()
    with of_this_process_alone(cluster_project.deliver("stored", "1", job="tg.many.job:Job()")) as package:

        def all_have_worked() -> bool:
            homes.update(home for _, _, home in on_ray.map(package, range(60), method="here", batch_size=1))
            return len(homes) >= 3

        until(all_have_worked)
    for home in homes:
        assert list(Path(home, "store").glob("*/stored__1/package.json"))


def test_an_error_has_its_index_and_the_traceback_of_the_worker(on_ray: RayExecutor, package: Path) -> None:
    run = on_ray.map(package, range(20), method="odd", batch_size=5)
    assert [one.value for one in run.outcomes() if one.error is None] == [item for item in range(20) if item != 13]
    assert list(run.failures) == [13]
    assert "many/job.py" in run.failures[13].traceback


def test_an_item_that_ends_its_workers_fails_alone(nodes: RayNodes, on_ray: RayExecutor, package: Path) -> None:
    executor = RayExecutor(nodes.address, max_retries=1, policy=Policy.any(), progress=False)
    run = executor.map(package, [1, 2, 13, 4], method="end", batch_size=4)
    assert [one.value for one in run.outcomes()] == [1, 2, None, 4]
    assert (list(run.failures), run.failures[2].error_type) == ([2], "WorkerEnded")


def test_each_of_ten_thousand_items_has_one_result_though_a_worker_and_a_node_end(
    on_ray: RayExecutor, nodes: RayNodes, package: Path
) -> None:
    removed = added = ""
    homes: set[str] = set()
    pids: list[int] = []
    # Items that wait are few, so that the whole does not take long; each of them says where it was.
    with on_ray.map(package, range(10_000), method="sometimes_here", batch_size=20) as run:
        for index, (item, pid, home) in enumerate(run.results()):
            assert item == index
            pids.append(pid)
            if index == 1000:
                os.kill(pids[0], signal.SIGKILL)
            if index == 2000:
                removed = nodes.remove()
                added = nodes.add()
            if index > 5000:
                homes.add(Path(home).name)
        assert run.state == "succeeded"
    assert len(pids) == 10_000
    assert removed != added
    assert removed not in homes
    assert added in homes
    assert list(nodes.home(added).glob("store/*/many__1_0_0/package.json"))


def test_runs_are_found_from_another_process_after_the_one_that_started_them(
    on_ray: RayExecutor, nodes: RayNodes, cluster_project: Project, tmp_path: Path
) -> None:
    file = tmp_path / "go on"
    waiting = cluster_project.deliver("waiting", "1", job=f"tg.many.job:Waiting({str(file)!r})")
    many = cluster_project.deliver("many", "2.0", job="tg.many.job:Job()")
    printed = in_another_process(
        f"""
        from tg.common.delivery.cluster import RayExecutor
        from tg.common.delivery.trust import Policy

        executor = RayExecutor({nodes.address!r}, policy=Policy.any())
        print("started", executor.start({str(waiting)!r}).id, executor.map({str(many)!r}, range(100), detached=True).id)
        """
    )
    # Ray itself prints what it has to tell of workers and nodes, before that line and after it.
    ((_, one, several),) = (line.split() for line in printed.splitlines() if line.startswith("started "))
    assert on_ray.find(several).result() == [2 * item for item in range(100)]
    run = on_ray.find(one)
    assert run.state == "running"
    assert "it has begun" in next(line for line in run.logs() if "begun" in line)
    file.touch()
    assert run.result() == "it was there"
    with pytest.raises(RunNotFound):
        on_ray.find(one)


def test_a_run_that_does_not_stop_is_ended(on_ray: RayExecutor, cluster_project: Project, package: Path) -> None:
    run = on_ray.start(cluster_project.deliver("endless", "1", job="tg.many.job:Waiting(None)"))
    next(line for line in run.logs() if "begun" in line)
    run.cancel()
    assert run.state == "cancelled"
    with pytest.raises(RunCancelled):
        run.result()
    assert on_ray.find(run.id).state == "cancelled"
    assert on_ray.map(package, range(30), batch_size=1).result() == [2 * item for item in range(30)]


def test_short_tasks_of_a_map_that_is_left_come_to_their_end(
    on_ray: RayExecutor, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray aborts a driver that cancels a task at the moment it ends: of those short ones it was one map in a hundred."""
    import ray

    cancelled: list[object] = []
    monkeypatch.setattr("tg.common.delivery.cluster.ray_engine._SHORT_SECONDS", 60)  # this machine may be busy
    monkeypatch.setattr(ray, "cancel", lambda reference, **options: cancelled.append(reference))
    with on_ray.map(package, range(1000), batch_size=1) as run:
        assert next(run.results()) == 0
        run._fill()  # this thread may have been held up until nearly all of the first had ended
        assert len(run._under_way) > 3
    assert run.state == "cancelled"
    assert cancelled == []


def test_items_are_taken_as_their_results_are(on_ray: RayExecutor, package: Path) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for item in itertools.count():
            taken = item
            yield item

    with on_ray.map(package, endless(), batch_size=10) as run:
        assert [next(run.results()) for _ in range(5000)] == [2 * item for item in range(5000)]
        assert taken - 5000 <= 10 * 3 * 48 * 3 + 10
    assert run.state == "cancelled"


def test_a_keeper_that_ends_is_started_anew(on_ray: RayExecutor, cluster_project: Project) -> None:
    import ray

    ray.kill(ray.get_actor("tg-keeper-1", namespace="tg"), no_restart=False)
    with of_this_process_alone(cluster_project.deliver("anew", "1", job="tg.many.job:Job()")) as package:
        assert on_ray.map(package, range(30)).result() == [2 * item for item in range(30)]
        assert on_ray.start(package).result() == 2


def test_what_nodes_lack_is_told_before_anything_runs(on_ray: RayExecutor, cluster_project: Project) -> None:
    settings = 'packaging.dependencies = (DependencyList("more", ["nowhere-to-be-found>=2"]),)'
    package = cluster_project.deliver("lacking", "1", job="tg.many.job:Job()", settings=settings)
    with pytest.raises(DependencyProblem, match=r"3 of the workers(.|\n)*nowhere-to-be-found>=2 is not installed"):
        on_ray.map(package, [1])


def test_big_data_is_mapped_from_the_store_of_the_node(on_ray: RayExecutor, cluster_project: Project) -> None:
    first, second = (
        cluster_project.deliver("big", version, job='tg.many.job:Job(2, __import__("numpy").ones(4_000_000))')
        for version in "12"
    )
    with of_this_process_alone(first) as package:
        assert on_ray.start(package).result() == 2
    with of_this_process_alone(second) as package:
        for _, total, mapped in on_ray.map(package, range(3), method="mapped", batch_size=1):
            assert (total, mapped) == (4_000_000.0, 1)


def test_where_no_cluster_answers_that_is_said(nodes: RayNodes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    printed = in_another_process(
        f"""
        import sys
        from tg.common.delivery.cluster import RayExecutor
        from tg.common.delivery.runtime.errors import ClusterProblem

        for address in ({address!r}, "nothing"):
            try:
                RayExecutor(address)
            except ClusterProblem as error:
                print(error)
        for name in [name for name in sys.modules if name == "ray" or name.startswith("ray.")]:
            del sys.modules[name]
        sys.modules["ray"] = None
        try:
            RayExecutor()
        except ClusterProblem as error:
            print(error)
        """
    )
    first, second, third = printed.splitlines()[-3:]
    assert first.startswith(f"no Ray cluster answers at {address}")
    assert second.startswith("'nothing' is no address of a Ray cluster")
    assert "pip install 'training-grounds-delivery[ray]'" in third


@contextmanager
def of_this_process_alone(file: Path) -> Iterator[str]:
    """A path of a file that is good in this process alone: nodes have to fetch the package, as if they had other disks."""
    with file.open("rb") as opened:
        yield f"/proc/self/fd/{opened.fileno()}"


def workers_of(executor: RayExecutor, package: Path, count: int) -> set[int]:
    """The processes that have done so many short items."""
    return {pid for _, pid, _ in executor.map(package, range(count), method="here", batch_size=1)}


def in_another_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line[8:] for line in code.splitlines())],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
