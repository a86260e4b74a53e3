"""Samples of Ray: one process, which starts a cluster, is its driver, and ends it. Ours and Ray's own take turns on the same workers.

python -m benchmarks.sample_ray versions PROJECT ROUNDS          seconds of a new version: made and its first result, beside `py_modules`
python -m benchmarks.sample_ray maps PROJECT ROUNDS ITEMS        of a map, beside the same function as plain tasks
python -m benchmarks.sample_ray payloads PROJECT ROUNDS MIB      of the first results of a payload, beside `ray.put`; and its memory
python -m benchmarks.sample_ray growth PROJECT NODES ITEMS...    of a new version's map over so many items
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from tg.common.delivery.cluster import RayExecutor
from tg.common.delivery.delivery import Packaging

from .samples import in_turns
from .trees import change_one_line

MIB = 1 << 20
WORKERS = 4
BATCH = 100


def versions(project: str, rounds: str) -> dict[str, Any]:
    """A line of a module is changed for each; both then have to bring the whole tree to workers that are up."""
    taken = []

    @ray.remote
    def imported() -> Any:
        import bench.job

        return bench.job.Job().run()

    with _one_node(2, 200) as executor, tempfile.TemporaryDirectory() as folder:
        for number in range(int(rounds) + 1):
            change_one_line(Path(project), number)

            def ours(number: int = number) -> tuple[float, float]:
                from tg.bench.job import Job

                started = time.perf_counter()
                package = _made("bench", f"0.{number}", Job())
                made = time.perf_counter()
                executor.start(package).result()
                done = time.perf_counter()
                return done - started, done - made

            def theirs(number: int = number) -> float:
                started = time.perf_counter()
                # One for a task has to be a URI; the first folder of the zip is taken away.
                file = shutil.make_archive(f"{folder}/{number}", "zip", project, "tg/bench")
                environment = {"py_modules": [Path(file).as_uri()]}
                ray.get(imported.options(runtime_env=environment).remote())
                return time.perf_counter() - started

            both = in_turns(number, ours, theirs)
            if number:
                taken.append(both)
    return {"rounds": taken}


def maps(project: str, rounds: str, items: str) -> dict[str, Any]:
    """The function does next to nothing; plain tasks have the same batches, and no more under way than the map has."""
    count, taken = int(items), []

    @ray.remote
    def plain(batch: list[int]) -> list[int]:
        return [item + 1 for item in batch]

    with _one_node(2, 200) as executor:
        from tg.bench.tiny import Tiny

        package = _made("tiny", "1", Tiny())

        def ours() -> float:
            started = time.perf_counter()
            results = executor.map(package, range(count), batch_size=BATCH).result()
            assert results == list(range(1, count + 1))
            return time.perf_counter() - started

        def theirs() -> float:
            started = time.perf_counter()
            references = [plain.remote(list(range(at, min(at + BATCH, count)))) for at in range(0, count, BATCH)]
            results = [result for reference in references for result in ray.get(reference)]
            assert results == list(range(1, count + 1))
            return time.perf_counter() - started

        for number in range(int(rounds) + 1):
            both = in_turns(number, ours, theirs)
            if number:
                taken.append(both)
    return {"rounds": taken}


def payloads(project: str, rounds: str, mib: str) -> dict[str, Any]:
    """An array, whose both ends are read by each of four workers; and then all of it, for the memory that this takes."""
    import numpy as np

    taken, resident = [], []

    @ray.remote
    def ends(job: Any) -> Any:
        time.sleep(0.02)  # long enough that each worker gets one
        return job[0], job[-1]

    with _one_node(WORKERS, 6 * int(mib)) as executor:
        from tg.bench.tiny import Ends

        ray.get([ends.remote([0.0]) for _ in range(10 * WORKERS)])
        for number in range(int(rounds) + 1):
            array = np.random.default_rng(number).random(int(mib) * MIB // 8)
            package = _made("ends", f"0.{number}", Ends(array))

            def ours(package: Path = package) -> float:
                started = time.perf_counter()
                executor.map(package, range(WORKERS), batch_size=1).result()
                return time.perf_counter() - started

            def theirs(array: Any = array) -> float:
                started = time.perf_counter()
                reference = ray.put(array)
                ray.get([ends.remote(reference) for _ in range(WORKERS)])
                return time.perf_counter() - started

            both = in_turns(number, ours, theirs)
            if number:
                taken.append(both)
                workers = {}
                for pid, before, after in executor.map(
                    package, range(4 * WORKERS), method="all", batch_size=1
                ).result():
                    workers.setdefault(pid, (before, after))
                resident.append([len(workers), sum(after - before for before, after in workers.values())])
    return {"rounds": taken, "resident": resident}


def growth(project: str, nodes: str, *items: str) -> dict[str, Any]:
    """Each on workers that are up, with a version that no node has."""
    from ray.cluster_utils import Cluster

    cluster, taken = Cluster(), {}
    try:
        for number in range(int(nodes)):
            first = {} if number else {"include_dashboard": False}
            home = {"TG_HOME": f"{os.environ['TG_HOME']}-{number}"}
            cluster.add_node(wait=False, num_cpus=1, object_store_memory=100 * MIB, env_vars=home, **first)
        cluster.wait_for_nodes()
        with RayExecutor(cluster.address, progress=False) as executor:
            from tg.bench.tiny import Tiny

            executor.map(_made("warm", "1", Tiny()), range(10_000), batch_size=BATCH).result()
            for count in items:
                package = _made("growing", f"0.{count}", Tiny())
                started = time.perf_counter()
                for _ in executor.map(package, range(int(count)), batch_size=BATCH):
                    pass
                taken[count] = time.perf_counter() - started
    finally:
        cluster.shutdown()
    return taken


@contextmanager
def _one_node(cpus: int, object_store_mib: int) -> Iterator[RayExecutor]:
    ray.init(
        num_cpus=cpus,
        object_store_memory=object_store_mib * MIB,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        executor = RayExecutor(progress=False)
        from tg.bench.tiny import Tiny

        executor.map(_made("warm", "1", Tiny()), range(10_000), batch_size=BATCH).result()
        executor.start(_made("warm", "2", Tiny())).wait()
        yield executor
    finally:
        ray.shutdown()


def _made(name: str, version: str, job: Any) -> Path:
    packaging = Packaging(name, version, {"job": job})
    packaging.silent = True
    packaging.checked = False  # measured apart, by checks.py
    packaging.make_package()
    assert packaging.package_location is not None
    return packaging.package_location


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    print(json.dumps({"versions": versions, "maps": maps, "payloads": payloads, "growth": growth}[command](*arguments)))
