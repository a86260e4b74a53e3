"""Making, installing and loading a package of many modules, against zip, unzip and import."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from .samples import REPOSITORY, Measure, calls, in_turns, ratio_measure, sample
from .trees import change_one_line, trees


def measure(rounds: int, *, quick: bool = False) -> list[Measure]:
    return [row for size, project in trees(quick=quick) for row in _of_tree(size, project, rounds)]


def _of_tree(size: int, project: Path, rounds: int) -> list[Measure]:
    home = project.with_name("home")
    first, again = [], []
    for number in range(rounds + 1):
        shutil.rmtree(home, ignore_errors=True)
        before = in_turns(number, lambda: _delivery(project, home, "0.0.0"), lambda: _floor(project))
        change_one_line(project, number)
        after = in_turns(number, lambda: _delivery(project, home, "0.0.1"), lambda: _floor(project))
        for ours, floor in (before, after):
            assert ours["result"] == floor["result"]
            assert ours["files"] == floor["files"] + 1  # in a package, tg/ has an __init__.py
        assert before[0]["result"] != after[0]["result"]
        if number:  # the first round fills the caches of the disk
            first.append(before)
            again.append(after)
    change_one_line(project, rounds + 1)
    counted = _delivery(project, home, "0.0.2", "count")
    return [
        _ratio(f"{size} modules, first time", 1.5, first),
        _ratio(f"{size} modules, one line changed", 0.7, again),
        *_counts(f"{size} modules, one line changed", counted),
    ]


def _ratio(name: str, reach: float, pairs: list[tuple[Any, Any]]) -> Measure:
    return ratio_measure(
        name,
        "floor",
        reach,
        [(calls(ours), calls(floor)) for ours, floor in pairs],
        whole=[(ours["whole"], floor["whole"]) for ours, floor in pairs],
    )


def _counts(name: str, counted: dict[str, float]) -> list[Measure]:
    of = f"of {counted['files']:.0f}"
    seal = f"{of}, one by one; all bytes hashed: {counted['hashed_archives']:.1f} times the size of the package"
    return [
        Measure(f"{name}: parsed", counted["parsed"], "files", 1, of),
        Measure(f"{name}: hashed", counted["hashed"], "files", 1, seal),
        Measure(f"{name}: unpacked", counted["written"], "files", 1, f"{of}; the others are linked"),
    ]


def _floor(project: Path) -> dict[str, float]:
    _forget_bytecode(project)
    with tempfile.TemporaryDirectory() as folder:
        portions = str(project / "tg"), str(REPOSITORY / "tg")
        return sample("-m", "benchmarks.sample_floor", folder, str(project), *portions)


def _delivery(project: Path, home: Path, version: str, *count: str) -> dict[str, float]:
    _forget_bytecode(project)
    return sample("-m", "benchmarks.sample_delivery", version, *count, path=[project], home=home)


def _forget_bytecode(project: Path) -> None:
    for folder in list(project.rglob("__pycache__")):
        shutil.rmtree(folder)
