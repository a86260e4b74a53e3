"""Making, installing and loading a package of many modules, against zip, unzip and import."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .samples import REPOSITORY, Measure, calls, median_ratio, sample
from .trees import change_one_line, make_tree

SIZES = (250, 2500)


def measure(rounds: int) -> list[Measure]:
    found = []
    for size in SIZES:
        first, changed, whole_first, whole_changed = [], [], [], []
        with tempfile.TemporaryDirectory() as folder:
            project, home = Path(folder, "project"), Path(folder, "home")
            make_tree(project, size)
            for number in range(rounds + 1):
                shutil.rmtree(home, ignore_errors=True)
                floor = _floor(project)
                ours = _delivery(project, home, "0.0.0")
                change_one_line(project, number)
                floor_again = _floor(project)
                again = _delivery(project, home, "0.0.1")
                assert floor["result"] == ours["result"] != again["result"] == floor_again["result"]
                if number == 0:
                    continue  # the first round fills the caches of disk and bytecode
                first.append((calls(ours), calls(floor)))
                changed.append((calls(again), calls(floor_again)))
                whole_first.append((ours["whole"], floor["whole"]))
                whole_changed.append((again["whole"], floor_again["whole"]))
        for name, pairs, reach in (
            (f"{size} modules, first time", first, 1.5),
            (f"{size} modules, one line changed", changed, 0.7),
            (f"{size} modules, first time, whole process", whole_first, None),
            (f"{size} modules, one line changed, whole process", whole_changed, None),
        ):
            ratio, detail = median_ratio(pairs)
            found.append(Measure(name, ratio, "x floor", reach, detail))
    return found


def _floor(project: Path) -> dict[str, float]:
    _forget_bytecode(project)
    with tempfile.TemporaryDirectory() as folder:
        return sample("-m", "benchmarks.sample_floor", folder, str(project / "tg"), str(REPOSITORY / "tg"))


def _delivery(project: Path, home: Path, version: str) -> dict[str, float]:
    _forget_bytecode(project)
    return sample("-m", "benchmarks.sample_delivery", version, path=[project], home=home)


def _forget_bytecode(project: Path) -> None:
    for folder in list(project.rglob("__pycache__")):
        shutil.rmtree(folder)
