"""Giving up: a task that is not wanted any more ends, though it runs in a thread that nobody can end."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["GivenUp", "giving_up"]

_INTERVAL_SECONDS = 0.2
_TURNS = 100
"""It comes up at the first."""


class GivenUp(BaseException):
    """Raised in a task that is not wanted any more; not an `Exception`, since no job means to catch it."""


class _Watch:
    """Asks for all tasks of this process whether they are wanted, while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[int, Callable[[], bool]] = {}
        self._told: set[int] = set()
        self._is_running = False

    def add(self, thread: int, wanted: Callable[[], bool]) -> None:
        with self._lock:
            self._asked[thread] = wanted
            self._told.discard(thread)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="tg-cluster-watch", daemon=True).start()

    def remove(self, thread: int) -> None:
        """Of the calling thread. Raises `GivenUp` if that has been set and has not come up yet."""
        with self._lock:
            self._asked.pop(thread, None)
            was_told = thread in self._told
            self._told.discard(thread)
        if was_told:
            # It is not for what the thread does next. Taking it back (`PyThreadState_SetAsyncExc` with nothing) would leave
            # Python 3.11 looking for it for ever, and not going on at all where the thread is traced, as for coverage.
            for _ in range(_TURNS):
                time.sleep(0)

    def _run(self) -> None:
        pause = threading.Event()
        idle = 0
        while True:
            pause.wait(_INTERVAL_SECONDS)
            with self._lock:
                idle = 0 if self._asked else idle + 1
                if idle > 50:
                    self._is_running = False
                    return
                for thread, wanted in self._asked.items():
                    if thread not in self._told and not wanted():
                        self._told.add(thread)
                        raised = ctypes.py_object(GivenUp)
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


_watch = _Watch()


@contextmanager
def giving_up(wanted: Callable[[], bool] | None) -> Iterator[None]:
    """`GivenUp` is raised in this thread soon after `wanted` says no, where Python comes back to its own code."""
    if wanted is None:
        yield
        return
    thread = threading.get_ident()
    try:
        _watch.add(thread, wanted)  # from then on it can be raised
        yield
    finally:
        with suppress(GivenUp):  # what was to be given up is done
            _watch.remove(thread)
