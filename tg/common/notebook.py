"""Progress in the cells of a notebook, for those who load it: `%load_ext tg.common.notebook`.

What takes over a second in a cell, sending an image's layers, installing dependencies, is shown below it, with the bytes that are done and the
time that is left; when it is over, one line says how much it was. `%unload_ext` ends that. Nobody else imports this file.
"""

from __future__ import annotations

import html
import secrets
import threading
import time
from typing import Any

from .progress import Work, listen

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

_SHOWN_AFTER_SECONDS = 1.0
_LOOKED_AFTER_SECONDS = 0.2
_MIB = 1024 * 1024

_hooks: dict[int, _CellHooks] = {}
"""What was registered, by the shell; a process has one."""


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext` calls: from the next cell on, progress is shown."""
    if id(shell) not in _hooks:
        hooks = _hooks[id(shell)] = _CellHooks()
        shell.events.register("pre_run_cell", hooks.begin)
        shell.events.register("post_run_cell", hooks.end)


def unload_ipython_extension(shell: Any) -> None:
    """What `%unload_ext` calls."""
    hooks = _hooks.pop(id(shell), None)
    if hooks is not None:
        shell.events.unregister("pre_run_cell", hooks.begin)
        shell.events.unregister("post_run_cell", hooks.end)
        hooks.end()


class _CellHooks:
    """A cell begins, a cell ends."""

    def __init__(self) -> None:
        self._cell: _CellProgress | None = None

    def begin(self, *info: object) -> None:
        """From now on what is told is of this cell. A kernel runs each in a context of its own, so nothing is to be put back."""
        self.end()  # one that runs another, as `%run` of a notebook does, has no end of its own before that
        self._cell = _CellProgress()
        listen(self._cell.told)

    def end(self, *result: object) -> None:
        """The cell is over."""
        if self._cell is not None:
            self._cell.close()
            self._cell = None
        listen(None)


class _CellProgress:
    """The work that is done in one cell, as one output. Drawn by a thread, since work that waits tells nothing."""

    def __init__(self) -> None:
        self._begun: dict[Work, float] = {}
        self._lines: list[str] = []
        self._changing = threading.Lock()
        self._over = threading.Event()
        self._drawing: threading.Thread | None = None
        self._name = ""

    def told(self, work: Work) -> None:
        """What listens."""
        with self._changing:
            if self._over.is_set():
                return
            if work not in self._begun and not work.ended:
                self._begun[work] = time.monotonic()
                if self._drawing is None:
                    self._drawing = threading.Thread(target=self._draw, name="tg-progress", daemon=True)
                    self._drawing.start()
            elif work.ended:
                seconds = time.monotonic() - self._begun.pop(work, time.monotonic())
                if seconds >= _SHOWN_AFTER_SECONDS:
                    amount = f", {work.done_bytes / _MIB:,.1f} MiB" if work.done_bytes else ""
                    self._lines.append(f"✓ {work.what}{amount}, {seconds:.0f} s")

    def close(self) -> None:
        """No more of it is shown than how it ended."""
        self._over.set()
        if self._drawing is not None:
            self._drawing.join()

    def _draw(self) -> None:
        from IPython.display import display, update_display

        before: list[str] = []
        over = False
        while not over:
            over = self._over.wait(_LOOKED_AFTER_SECONDS)
            now = time.monotonic()
            with self._changing:
                works = [(work, now - begun) for work, begun in self._begun.items()]
                shown = list(self._lines)
            rows = [html.escape(line) for line in shown]
            for work, seconds in works:
                if seconds >= _SHOWN_AFTER_SECONDS and not over:
                    words, bar = _so_far(work, seconds)
                    shown.append(words)
                    rows.append(bar + html.escape(words))
            if shown == before:
                continue
            before = shown
            drawn = {"text/html": "<br>".join(rows), "text/plain": "\n".join(shown)}
            if self._name:
                update_display(drawn, raw=True, display_id=self._name)
            else:
                self._name = f"tg-progress-{secrets.token_hex(8)}"
                display(drawn, raw=True, display_id=self._name)


def _so_far(work: Work, seconds: float) -> tuple[str, str]:
    """What it is and how far it is, in words and as a bar before them."""
    if not work.total_bytes:
        done = f"{work.done_bytes / _MIB:,.1f} MiB, " if work.done_bytes else ""
        return f"{work.what}: {done}{seconds:.0f} s so far", "<progress></progress> "
    words = f"{work.what}: {work.done_bytes / _MIB:,.1f} of {work.total_bytes / _MIB:,.1f} MiB"
    if work.done_bytes:
        rest = max(work.total_bytes - work.done_bytes, 0)
        words += f", about {seconds * rest / work.done_bytes:.0f} s left"
    return words, f'<progress max="{work.total_bytes}" value="{work.done_bytes}"></progress> '
