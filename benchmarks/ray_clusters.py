"""Packages on a Ray cluster that is up: a new version, a map, a big payload, and how the cost grows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from .report import Row
from .samples import Measure, Observation, median_measure, ratio_measure, sample
from .trees import SIZES, make_tree

_TINY = '''\
"""Jobs that do next to nothing, so that getting there is what takes time."""

import os
import time


class Tiny:
    def run(self, item=0):
        return item + 1


class Ends:
    def __init__(self, array):
        self.array = array

    def run(self, item):
        time.sleep(0.02)  # long enough that each worker gets one
        return self.array[0], self.array[-1]

    def all(self, item):
        """The process, and the memory it has, in MiB: shared pages as its share of them; before and after all was read."""
        before = _proportional_mib()
        self.array.sum()
        time.sleep(0.5)  # until each worker has read it
        return os.getpid(), before, _proportional_mib()


def _proportional_mib():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024
'''
ITEMS = 10_000
MIB = 256


def rows(rounds: int, *, quick: bool = False) -> list[Row]:
    """`rounds` of each, but of the growth, which is one of each size."""
    found: list[Row] = []
    with _project(SIZES[0]) as folder:
        found += _versions(_sample(folder, "versions", str(rounds))["rounds"])
        taken = _sample(folder, "maps", str(2 * rounds), str(ITEMS))["rounds"]
        found.append(ratio_measure(f"Ray: map over {ITEMS:,} tiny items", "plain tasks, same batches", 1.1, taken))
        found += _payloads(_sample(folder, "payloads", str(rounds), str(MIB)))
    return found


def growth(*, quick: bool = False) -> list[Observation]:
    """Seconds of a new version's map, by the size of its tree, the nodes and the items."""
    counts = ["1000", "10000"] if quick else ["1000", "10000", "100000"]
    found = []
    for modules in SIZES[:1] if quick else SIZES:
        with _project(modules) as folder:
            for nodes in (1, 3) if quick else (1, 2, 3):
                taken = _sample(folder, "growth", str(nodes), *counts)
                seconds = {f"{int(count):,} items": f"{taken[count]:.2f} s" for count in counts}
                found.append(Observation({"engine": "Ray", "modules": f"{modules:,}", "nodes": str(nodes), **seconds}))
    return found


def _versions(taken: list[tuple[tuple[float, float], float]]) -> list[Measure]:
    ours, theirs = [made for (made, _), _ in taken], [other for _, other in taken]
    return [
        Measure(
            "Ray, warm: 250 modules, a new version to its first result, over a `runtime_env` with `py_modules`",
            median(ours) / median(theirs),
            "x",
            1 / 20,
            f"{median(ours):.3f} s over {median(theirs):.3f} s",
            samples=tuple(taken),
        ),
        median_measure(
            "the same",
            "ms",
            [1000 * one for one in ours],
            150,
            f"of which after it was made: {1000 * median(after for (_, after), _ in taken):.0f} ms",
        ),
    ]


def _payloads(taken: dict[str, Any]) -> list[Measure]:
    workers = min(number for number, _ in taken["resident"])
    return [
        ratio_measure(f"Ray: {MIB} MiB payload, first results of 4 workers", "ray.put", 1.2, taken["rounds"]),
        Measure(
            f"Ray: {MIB} MiB payload, resident when all {workers} workers have read it",
            max(resident for _, resident in taken["resident"]),
            "MiB",
            MIB * 1.1,
            "shared pages counted once",
            samples=tuple(taken["resident"]),
        ),
    ]


@contextmanager
def _project(modules: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tree(folder / "project", modules)
        (folder / "project/tg/bench/tiny.py").write_text(_TINY, encoding="utf-8")
        # What checks URIs for jsonschema is installed here with other tools, and takes 2.5 seconds in each process of Ray.
        (folder / "quick").mkdir()
        (folder / "quick/rfc3987_syntax.py").write_text('raise ImportError("not here")\n', encoding="utf-8")
        yield folder


def _sample(folder: Path, *arguments: str) -> dict[str, Any]:
    what, *others = arguments
    project = folder / "project"
    paths = [folder / "quick", project]
    quiet = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    return sample(
        "-m", "benchmarks.sample_ray", what, str(project), *others, path=paths, home=folder / "home", environment=quiet
    )
