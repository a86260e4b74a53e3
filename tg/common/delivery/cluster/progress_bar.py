"""A bar in the terminal: how far a map has come. It is the program's to draw, and so only where a person looks at it."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

__all__ = ["ProgressBar"]


class ProgressBar:
    """How many items are done, of how many. Shown where the standard error is a terminal and rich is installed."""

    def __init__(self, what: str, total: int | None, *, shown: bool | None = None) -> None:
        """`shown` says whether, whatever there is; `total` is nothing where nobody knows how many items come."""
        self._display: Any = None
        if shown is None:
            shown = sys.stderr is not None and sys.stderr.isatty()
        if not shown:
            return
        with suppress(ImportError):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._display = Progress(*columns, console=Console(stderr=True))
            self._task = self._display.add_task(what, total=total)
            self._display.start()

    def advance(self, count: int) -> None:
        """So many more are done."""
        if self._display is not None:
            self._display.advance(self._task, count)

    def close(self) -> None:
        """Draw it no more."""
        if self._display is not None:
            self._display.stop()
            self._display = None
