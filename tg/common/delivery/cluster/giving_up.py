"""Giving up: a task that is not wanted any more ends, though it runs in a thread that nobody can end."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["GivenUp", "giving_up"]

_INTERVAL_SECONDS = 0.2


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
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="tg-cluster-watch", daemon=True).start()

    def remove(self, thread: int) -> None:
        with self._lock:
            self._asked.pop(thread, None)
            if thread in self._told:
                self._told.discard(thread)
                # It may not have come up yet, and is not for what the thread does next.
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None)

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
    _watch.add(thread, wanted)
    try:
        yield
    finally:
        _watch.remove(thread)
