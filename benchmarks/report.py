"""The tables, for people, for programs and for the README."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from .samples import Measure, Observation

README = Path(__file__).with_name("README.md")

Row = Measure | Observation


def table(rows: Sequence[Row]) -> str:
    """A table in Markdown, aligned so that it reads as text too; columns that are empty in every row are left out."""
    cells = [row.cells() for row in rows]
    heads = [
        head for head in dict.fromkeys(head for row in cells for head in row) if any(row.get(head) for row in cells)
    ]
    lines = [heads, *([row.get(head, "") for head in heads] for row in cells)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def machine() -> str:
    """What the figures were taken on, as far as it matters for them."""
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def as_json(found: dict[str, list[Row]]) -> str:
    """All that was found, part by part, with every sample."""
    parts = {
        part: [{**vars(row), "reached": row.reached} if isinstance(row, Measure) else row.columns for row in rows]
        for part, rows in found.items()
    }
    return json.dumps({"machine": machine(), "parts": parts}, indent=2, ensure_ascii=False) + "\n"


def write_readme(found: dict[str, list[Row]], rounds: int) -> None:
    """Put each part's table between its marks in the README; what was not measured now stays as it was."""
    text = README.read_text(encoding="utf-8")
    for part, rows in found.items():
        begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
        if begin not in text or end not in text:
            raise ValueError(f"{README.name} has no place for {part}: add the lines {begin} and {end}.")
        how = f"{machine()}; medians of {rounds}." if any(isinstance(row, Measure) for row in rows) else f"{machine()}."
        block = f"{begin}\n{how}\n\n{table(rows)}\n{end}"
        text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _, block=block: block, text, flags=re.DOTALL)
    README.write_text(text, encoding="utf-8")
