"""What a terminal can show: whether there is one, colour, tables. `NO_COLOR` is obeyed (https://no-color.org)."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

__all__ = [
    "bold",
    "coloured",
    "columns",
    "duration",
    "is_coloured",
    "is_terminal",
    "lines_and_columns",
    "moment",
]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at it, on something that can move back in a line."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def is_coloured(stream: TextIO) -> bool:
    """Whether codes for colours may be written to it."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def coloured(text: str, *kinds: str, stream: TextIO | None = None) -> str:
    """The text as `bold`, `dim`, `red`, `green` or `yellow`, where the stream (standard output) can show it."""
    if not is_coloured(stream or sys.stdout):
        return text
    return f"\x1b[{';'.join(_CODES[kind] for kind in kinds)}m{text}\x1b[0m"


def bold(text: str) -> str:
    """The text in bold letters, where the standard output can show it."""
    return coloured(text, "bold")


def lines_and_columns() -> tuple[int, int]:
    """How much one screen is."""
    from shutil import get_terminal_size

    found = get_terminal_size((100, 40))
    return found.lines, found.columns


def columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, its columns as wide as they have to be, the headings in bold. On a terminal that is too narrow the last go."""
    listed = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in [list(headings), *listed]) for index in range(len(headings))]
    if is_terminal(sys.stdout):
        room = lines_and_columns()[1]
        while len(widths) > 2 and sum(widths) + 2 * (len(widths) - 1) > room:
            widths.pop()
        headings, listed = headings[: len(widths)], [row[: len(widths)] for row in listed]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    return "\n".join([bold(line([one.upper() for one in headings])), *map(line, listed)])


def duration(seconds: float) -> str:
    """A time that passes: `14 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(seconds: float) -> str:
    """A time of the clock here, from seconds since 1970: `2026-11-28 09:15:02`."""
    from time import localtime, strftime

    return strftime("%Y-%m-%d %H:%M:%S", localtime(seconds))
