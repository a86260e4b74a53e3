"""Watching a run: its log where it is asked for, while it runs, and then its result.

In a notebook that is one output, which is drawn anew while lines come: what runs, for how long, and the last lines of its log.
Elsewhere each line is written as it comes.
"""

from __future__ import annotations

import queue
import secrets
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from .run_card import run_card

if TYPE_CHECKING:
    from ..runtime.kinds import Kind
    from .run import Run

__all__ = ["watch"]

_LINES = 1000
"""So many of the last lines are shown in a notebook; `run.logs()` has all of them."""

_REDRAW_SECONDS = 0.1
_CLOCK_SECONDS = 1.0


def watch(run: Run, kind: type[Kind] | None = None) -> Kind:
    """Show the log of a run while it runs, and return its result: `watch(executor.start(packaging))`. `kind` is the type
    that the result is to be of.

    Raises what `run.result()` raises. Who interrupts it (Ctrl-C, the stop button of a notebook) stops watching: the run goes on,
    and can be watched again, or ended with `run.cancel()`.
    """
    if _is_notebook():
        _draw(run)
    else:
        for line in run.logs():
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return run.result(kind)


def _is_notebook() -> bool:
    """Whether this is a process that answers a notebook; IPython in a terminal draws nothing."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def _draw(run: Run) -> None:
    from IPython.display import display, update_display

    name = f"tg-watch-{secrets.token_hex(8)}"
    log = _Log(run)
    started = time.monotonic()
    state = "running"
    display(_watched(run, log, started, state), raw=True, display_id=name)
    try:
        while log.take(_CLOCK_SECONDS):
            update_display(_watched(run, log, started, state), raw=True, display_id=name)
            time.sleep(_REDRAW_SECONDS)  # a job that logs without end is not drawn without end
        state = ""  # it is asked for, now that nobody else asks
    except BaseException:
        state = "not watched any more"
        raise
    finally:
        update_display(_watched(run, log, started, state), raw=True, display_id=name)


def _watched(run: Run, log: _Log, started: float, state: str) -> dict[str, str]:
    earlier = f"{log.count:,}, the last {_LINES:,} are shown" if log.count > _LINES else f"{log.count:,}"
    seconds = time.monotonic() - started
    facts = [("watched for", f"{seconds:.0f} s"), ("lines", earlier)]
    return {
        "text/html": run_card(run, facts, lines=log.last, state=state),
        "text/plain": "\n".join((repr(run), *log.last)),
    }


class _Log:
    """The lines of a run, read by a thread of their own, since whoever waits for one cannot draw meanwhile."""

    def __init__(self, run: Run) -> None:
        self.last: deque[str] = deque(maxlen=_LINES)
        self.count = 0
        self._run = run
        self._coming: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name=f"tg-watch-{run.id}", daemon=True).start()

    def take(self, seconds: float) -> bool:
        """Take what has come, waiting for it as long as this. Whether there may be more; raises what reading raised."""
        try:
            one = self._coming.get(timeout=seconds)
            while one is not None:
                if isinstance(one, BaseException):
                    raise one
                self.last.append(one)
                self.count += 1
                one = self._coming.get_nowait()
        except queue.Empty:
            return True
        return False

    def _read(self) -> None:
        try:
            for line in self._run.logs():
                self._coming.put(line)
            self._coming.put(None)
        except BaseException as error:  # noqa: BLE001 it is raised again, where somebody waits for it
            self._coming.put(error)
