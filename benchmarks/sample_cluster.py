"""Samples of a cluster that is warm: one process for all rounds, as a notebook is.

python -m benchmarks.sample_cluster ENGINE new PROJECT ROUNDS NODES       a line is changed: seconds until there is a result, and one of each node
python -m benchmarks.sample_cluster ENGINE map ROUNDS ITEMS NODES         of a map over tiny items, ours and as plain tasks in the same batches
python -m benchmarks.sample_cluster ENGINE payload ROUNDS                 of an array of 256 MiB until there is a result; what is resident
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tg.common.delivery.cluster.map_run import MapRun
from tg.common.delivery.delivery import Packaging

from .trees import change_one_line

BATCH = 100
MIB = 1 << 20
WORKERS = 4

JOB = '''\
"""A job for many items."""

import os
import re
import time

from .job import Job


class Many:
    def __init__(self, number=0, array=None):
        self.number, self.array = number, array

    def run(self, item):
        return item + 1

    def first(self, item):
        Job().run()
        return os.environ["TG_HOME"]

    def total(self, item):
        return float(self.array[::4096].sum())

    def resident(self, item):
        """Who this is; KiB of the array that are this process's share (proc(5), smaps: Pss), and all of its own memory."""
        self.array.sum()
        time.sleep(0.5)
        share, counts = 0, False
        for line in open("/proc/self/smaps"):
            if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
                counts = "job.buffers" in line and f"/{__name__.partition(chr(46))[0]}/" in line
            elif counts and line.startswith("Pss:"):
                share += int(line.split()[1])
        [own] = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")]
        return os.getpid(), share, own
'''


def cluster_of(engine: str, *, nodes: int, workers: int) -> Any:
    """A cluster of ours, started."""
    kind = importlib.import_module(f"benchmarks.{engine}_cluster")
    return getattr(kind, f"{engine.title()}Cluster")(Path(folder()), nodes=nodes, workers=workers)


def folder() -> str:
    return tempfile.mkdtemp(prefix="tg-bench-")


def new(engine: str, project: str, rounds: str, nodes: str) -> None:
    many = importlib.import_module("tg.bench.many").Many
    first, each, plain = [], [], []
    with cluster_of(engine, nodes=int(nodes), workers=2 if nodes == "1" else 1) as cluster:
        for number in range(int(rounds) + 1):
            change_one_line(Path(project), number)
            started = time.perf_counter()
            package = made(f"{number}.0", many(number))
            run = cluster.executor.map(package, range(1000), method="first", batch_size=1)
            results = run.results()
            next(results)
            first.append(time.perf_counter() - started)
            take_from_each_node(run, int(nodes))
            each.append(time.perf_counter() - started)
            run.cancel()
            time.sleep(0.5)  # what was cancelled comes to its end
        plainly = getattr(cluster, "new_plainly", None)
        # Afterwards: the workers that it starts anew take the place of those that are warm.
        for number in range(int(rounds) + 1 if plainly and nodes == "1" else 0):
            change_one_line(Path(project), -number)
            plain.append(taken(lambda number=number: plainly(Path(project), number)))
    print(json.dumps({"first": first[1:], "each": each[1:], "plain": plain[1:]}))


def map_items(engine: str, rounds: str, items: str, nodes: str) -> None:
    many = importlib.import_module("tg.bench.many").Many
    count = int(items)
    batches = [list(range(start, min(count, start + BATCH))) for start in range(0, count, BATCH)]

    def plain(batch: list[int]) -> list[int]:
        return [item + 1 for item in batch]

    pairs = []
    with cluster_of(engine, nodes=int(nodes), workers=2 if nodes == "1" else 1) as cluster:
        package = made("1.0", many())

        def ours() -> float:
            return taken(lambda: cluster.executor.map(package, range(count), batch_size=BATCH).result())

        def floor() -> float:
            return taken(lambda: cluster.map_plainly(plain, batches))

        for number in range(int(rounds) + 1):
            pairs.append((ours(), floor()) if number % 2 else (floor(), ours())[::-1])
    print(json.dumps({"pairs": pairs[1:]}))


def payload(engine: str, rounds: str) -> None:
    import numpy as np

    many = importlib.import_module("tg.bench.many").Many
    pairs, resident = [], []

    def plain(array: Any) -> float:
        return float(array[::4096].sum())

    with cluster_of(engine, nodes=1, workers=WORKERS) as cluster:
        for number in range(int(rounds) + 1):
            array = np.full(256 * MIB // 8, number, dtype="float64")
            package = made(f"{number}.0", many(number, array))

            def ours(package: Path = package) -> float:
                return taken(lambda: next(cluster.executor.map(package, [0], method="total").results()))

            def floor(array: Any = array) -> float:
                return taken(lambda: cluster.give_plainly(array, plain))

            pairs.append((ours(), floor()) if number % 2 else (floor(), ours())[::-1])
            found = {
                pid: (share, own)
                for pid, share, own in cluster.executor.map(
                    package, range(WORKERS * 4), method="resident", batch_size=1
                )
            }
            resident.append([len(found), sum(share for share, _ in found.values()) / 1024])
    print(json.dumps({"pairs": pairs[1:], "resident": resident}))


def made(version: str, job: Any) -> Path:
    packaging = Packaging("bench", version, {"job": job})
    packaging.silent = True
    packaging.checked = False  # measured apart, by checks.py
    packaging.make_package()
    assert packaging.package_location is not None
    return packaging.package_location


def taken(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def take_from_each_node(run: MapRun, nodes: int) -> None:
    """Take results until one has come from each node."""
    seen: set[str] = set()
    for home in run:
        seen.add(home)
        if len(seen) == nodes:
            return
    raise SystemExit(f"results came from {len(seen)} of {nodes} nodes")


if __name__ == "__main__":
    engine, what, *rest = sys.argv[1:]
    {"new": new, "map": map_items, "payload": payload}[what](engine, *rest)
