"""Bars: work that takes over a second, with its bytes and the time that is left; lines of it where there is no terminal.

`rich` draws them. It is imported when something has taken half a second already, and so costs nobody who does not wait anyway.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

from ..delivery.runtime.sizes import size_of
from ..progress import Work, listening
from .terminal import duration, is_terminal

__all__ = ["Bars"]

_DRAWN_AFTER_SECONDS = 0.5
_TOLD_AFTER_SECONDS = 1.0
_TOLD_EVERY_SECONDS = 10.0
_LOOKED_AFTER_SECONDS = 0.1


class Bars:
    """`with Bars():` whatever tells of its progress in the block is shown on the standard error."""

    def __init__(self) -> None:
        self._begun: dict[Work, float] = {}
        self._changing = threading.Lock()
        self._over = threading.Event()
        self._looking: threading.Thread | None = None
        self._block = ExitStack()

    def __enter__(self) -> Bars:
        self._block.enter_context(listening(self._listen))
        return self

    def __exit__(self, *exception: object) -> None:
        self._block.close()
        self._over.set()
        if self._looking is not None:
            self._looking.join()

    def _listen(self, work: Work) -> None:
        if work not in self._begun:
            with self._changing:
                self._begun[work] = time.monotonic()
                if self._looking is None:
                    shown = self._draw if is_terminal(sys.stderr) else self._tell
                    self._looking = threading.Thread(target=shown, name="tg-bars", daemon=True)
                    self._looking.start()

    def _forget(self, work: Work) -> None:
        with self._changing:
            self._begun.pop(work, None)

    def _works(self) -> list[tuple[Work, float]]:
        with self._changing:
            return list(self._begun.items())

    def _draw(self) -> None:
        """Bars on a terminal, gone when their work is done."""
        progress: Any = None
        tasks: dict[Work, Any] = {}
        try:
            while not self._over.wait(_LOOKED_AFTER_SECONDS):
                for work, begun in self._works():
                    seconds = time.monotonic() - begun
                    if work.ended:
                        if work in tasks:
                            progress.remove_task(tasks.pop(work))
                        self._forget(work)
                    elif work in tasks:
                        progress.update(tasks[work], completed=work.done_bytes, **_fields(work, seconds))
                    elif seconds > _DRAWN_AFTER_SECONDS:
                        progress = progress or _progress()
                        tasks[work] = progress.add_task(work.what, total=work.total_bytes, **_fields(work, seconds))
                if progress is not None and not tasks:
                    progress.stop()
                    progress = None
        finally:
            if progress is not None:
                progress.stop()

    def _tell(self) -> None:
        """Lines, for a log that is read later: when a work has taken a second, now and then, and when it is done."""
        told: dict[Work, float] = {}
        while True:
            over = self._over.wait(_LOOKED_AFTER_SECONDS)
            now = time.monotonic()
            for work, begun in self._works():
                if work.ended:
                    if told.pop(work, None):
                        amount = f", {size_of(work.done_bytes)}" if work.done_bytes else ""
                        print(f"{work.what}: done{amount} in {duration(now - begun)}", file=sys.stderr, flush=True)
                    self._forget(work)
                elif (
                    now - told.get(work, now - _TOLD_EVERY_SECONDS) >= _TOLD_EVERY_SECONDS
                    and now - begun >= _TOLD_AFTER_SECONDS
                ):
                    told[work] = now
                    print(f"{work.what}{_so_far(work, now - begun)}", file=sys.stderr, flush=True)
            if over:
                return


def _so_far(work: Work, seconds: float) -> str:
    return ": " + ", ".join(filter(None, _fields(work, seconds).values()))


def _fields(work: Work, seconds: float) -> dict[str, str]:
    """How many bytes, and how much longer, or how long already, in words."""
    so_far = f"{duration(seconds)} so far"
    if not work.total_bytes:
        return {"amount": size_of(work.done_bytes) if work.done_bytes else "", "left": so_far}
    amount = f"{size_of(work.done_bytes)} of {size_of(work.total_bytes)}"
    if not work.done_bytes:
        return {"amount": amount, "left": so_far}
    rest = max(work.total_bytes - work.done_bytes, 0)
    return {"amount": amount, "left": f"about {duration(seconds * rest / work.done_bytes)} left"}


def _progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    progress = Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="ellipsis", no_wrap=True)),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[amount]}", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[left]}", style="dim", table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=is_terminal(sys.stdout),
    )
    progress.start()
    return progress
