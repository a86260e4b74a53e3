"""Relocating a tree in which every module imports its own root absolutely, over parsing the same files once."""

from __future__ import annotations

import re
import tempfile
from functools import partial
from pathlib import Path

from .samples import Measure, median_measure, ratio_measure, sample
from .trees import make_tree

MODULES = 2500
ROOT = "mycompany"
_SAMPLE = "from benchmarks.sample_relocating import main; main({folder!r}, first={first!r})"


def measure(rounds: int, *, quick: bool = False) -> list[Measure]:
    modules = 250 if quick else MODULES
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        absolute_tree(folder, modules)
        pairs = []
        for number in range(rounds + 1):
            taken = sample("-c", _SAMPLE.format(folder=str(folder), first=("relocate", "parse")[number % 2]))
            if number:
                pairs.append((taken["relocate"], taken["parse"]))
        home = folder / "home"
        for _ in range(2):  # the first one fills the cache
            again = sample("-c", "from benchmarks.sample_relocating import again; again()", path=[folder], home=home)
    files = f"{modules:,} modules"
    return [
        ratio_measure(f"relocating {files}, over parsing them once", "ast.parse", 1.0, pairs),
        median_measure("files parsed when it is made a package again", "files", [float(again["parsed"])], 0.5),
    ]


def absolute_tree(folder: Path, modules: int) -> None:
    """A tree of `benchmarks/trees.py` as a root that calls itself `mycompany`, in each of its modules."""
    make_tree(folder, modules)
    (folder / "tg").rename(folder / ROOT)
    for file in (folder / ROOT).rglob("*.py"):
        package = ".".join(file.relative_to(folder).with_suffix("").parts[:-1])
        absolute = partial(_absolute, package=package)
        text = re.sub(r"^(\s*from )(\.+)(\w*)", absolute, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if ROOT not in text and text:
            before = "\nimport " if "\nimport " in text else "\n"
            text = text.replace(before, f"\nimport {package}{before}", 1)
        file.write_text(text, encoding="utf-8")


def _absolute(found: re.Match[str], *, package: str) -> str:
    parts = package.split(".")
    return found[1] + ".".join([*parts[: len(parts) + 1 - len(found[2])], *([found[3]] if found[3] else [])])
