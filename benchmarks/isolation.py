"""Packages in processes of their own: what a call, a big argument and a new environment cost."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from .samples import Measure, median_measure, ratio_measure, sample

JOB = '''\
"""A job that does next to nothing, so that getting there is what takes time."""


class Job:
    def run(self, value):
        return value

    def ends(self, array):
        return float(array[0]), float(array[-1])

    def total(self, array):
        return float(array.sum())
'''
CALLS = 500
REQUIREMENTS = ("numpy", "pandas")


def measure(rounds: int, *, quick: bool = False) -> list[Measure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "project/tg/bench").mkdir(parents=True)
        (folder / "project/tg/bench/__init__.py").touch()
        (folder / "project/tg/bench/job.py").write_text(JOB, encoding="utf-8")
        return [*_calls(folder, rounds), *_arrays(folder, rounds), *_environments(folder, rounds)]


def _calls(folder: Path, rounds: int) -> list[Measure]:
    taken = _sample(folder, "calls", str(3 * rounds), str(CALLS))
    ours, bare = (median(side) for side in zip(*taken["rounds"], strict=True))
    return [
        median_measure(
            "a call and its value",
            "µs more",
            [1e6 * (one - other) for one, other in taken["rounds"]],
            150,
            f"{1e6 * ours:.0f} µs over {1e6 * bare:.0f} µs: an echo of {taken['sent']} and {taken['answered']} bytes",
        )
    ]


def _arrays(folder: Path, rounds: int) -> list[Measure]:
    taken = _sample(folder, "arrays", str(3 * rounds))
    first, first_copy = taken["first"]
    return [
        ratio_measure("256 MiB array as an argument", "memory copy", 1.2, taken["ends"]),
        median_measure(
            "the same, the first time", "s", [first], None, f"fresh pages; a first copy here: {first_copy:.3f} s"
        ),
        ratio_measure("the same, and the job sums it up", "memory copy and sum", None, taken["total"]),
    ]


def _environments(folder: Path, rounds: int) -> list[Measure]:
    taken = _sample(folder, "environments", str(rounds), *REQUIREMENTS)
    what = " and ".join(REQUIREMENTS)
    return [
        median_measure(f"an environment with {what}, wheels cached", "s", taken["made"], 1),
        median_measure("a worker in one that is there, to its first answer", "ms", taken["started"]),
    ]


def _sample(folder: Path, *arguments: str) -> dict[str, Any]:
    project, home = folder / "project", folder / "home"
    return sample("-m", "benchmarks.sample_isolation", *arguments, path=[project], home=home)
