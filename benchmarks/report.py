"""The table, for people, for programs and for the README."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path

from .samples import Measure

README = Path(__file__).with_name("README.md")


def table(measures: list[Measure]) -> str:
    """A table in Markdown, aligned so that it reads as text too; what has to be reached is shown where anything has."""
    rows = [["measure", "figure", "reach", "", "how"]]
    for one in measures:
        mark = {True: "✓", False: "✗ missed", None: ""}[one.reached]
        reach = "" if one.reach is None else f"≤ {one.reach:g}"
        rows.append([one.name, f"{one.value:.3g} {one.unit}", reach, mark, one.detail])
    if all(one.reach is None for one in measures):
        rows = [[name, figure, how] for name, figure, _, _, how in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def as_json(measures: list[Measure]) -> str:
    return json.dumps([{**vars(one), "reached": one.reached} for one in measures], indent=2, ensure_ascii=False)


def write_readme(measures: list[Measure], place: str) -> None:
    """Put the table between the marks of `place` (figures, peers) in the README."""
    text = README.read_text(encoding="utf-8")
    begin, end = f"<!-- {place}: begin -->", f"<!-- {place}: end -->"
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, medians."
    block = f"{begin}\n{system}\n\n{table(measures)}\n{end}"
    README.write_text(re.sub(f"{begin}.*?{end}", lambda _: block, text, flags=re.DOTALL), encoding="utf-8")
