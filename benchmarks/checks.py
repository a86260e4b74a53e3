"""What the check adds to making a package: the payload is loaded in a fresh interpreter before the file gets its name."""

from __future__ import annotations

import shutil
from pathlib import Path

from .samples import Measure, median_measure, sample
from .trees import SIZES, change_one_line, trees

REACH_MS = 100
NUMPY = "numpy:arange(1_000_000.0)"


def measure(rounds: int, *, quick: bool = False) -> list[Measure]:
    return [row for size, project in trees(quick=quick) for row in _of_tree(size, project, rounds)]


def _of_tree(size: int, project: Path, rounds: int) -> list[Measure]:
    home = project.with_name("home")
    first: list[float] = []
    changed: list[float] = []
    same: list[float] = []
    changed_numpy: list[float] = []
    same_numpy: list[float] = []
    for number in range(rounds + 1):
        shutil.rmtree(home, ignore_errors=True)
        added = [_added(project, home)]
        change_one_line(project, number)
        added.append(_added(project, home))
        (project / "tg/bench/nobody.py").write_text(f"x = {number}\n")
        added.append(_added(project, home))
        if size == SIZES[0]:
            _added(project, home, NUMPY)
            change_one_line(project, 1000 + number)
            added.append(_added(project, home, NUMPY))
            (project / "tg/bench/nobody.py").write_text(f"x = -{number}\n")
            added.append(_added(project, home, NUMPY))
        if number:  # the first round fills the caches of the disk
            for figures, milliseconds in zip((first, changed, same, changed_numpy, same_numpy), added, strict=False):
                figures.append(milliseconds)
    name = f"{size} modules"
    rows = [
        median_measure(f"{name}, first time", "ms more", first, None, "all files are written for it, and compiled"),
        median_measure(f"{name}, an imported module changed", "ms more", changed, REACH_MS, "loaded anew"),
        median_measure(f"{name}, another module changed", "ms more", same, REACH_MS, "the outcome is known"),
    ]
    if changed_numpy:
        rows += [
            median_measure(
                f"{name} and an array, an imported module changed",
                "ms more",
                changed_numpy,
                None,
                "of it the import of numpy",
            ),
            median_measure(
                f"{name} and an array, another module changed", "ms more", same_numpy, REACH_MS, "the outcome is known"
            ),
        ]
    return rows


def _added(project: Path, home: Path, *expression: str) -> float:
    taken = sample("-m", "benchmarks.sample_check", "0.0.0", *expression, path=[project], home=home)
    return 1000 * float(taken["checked"] - taken["unchecked"])
