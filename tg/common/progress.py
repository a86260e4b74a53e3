"""Progress: how far a piece of work has come, told to whoever listens. Nothing is drawn here, and nothing told by default.

    with listening(lambda work: print(work.what, work.done_bytes, work.total_bytes)):
        packaging.make_package()

What listens is called in the threads that work, when a piece begins, moves on and ends; what it takes, the work takes. It holds for the
block, in the thread that is in it: other threads of the program, and other versions of this file, do not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

__all__ = ["Listener", "Work", "listen", "listening", "working"]


class Work:
    """A piece of work: `what` it is in words, `done_bytes` of `total_bytes`, and whether it `ended`.

    `total_bytes` is `None` where nobody knows how much there is, or bytes are not what it is about.
    """

    __slots__ = ("_counting", "_listener", "done_bytes", "ended", "total_bytes", "what")

    def __init__(self, what: str, total_bytes: int | None, listener: Listener | None) -> None:
        self.what = what
        self.total_bytes = total_bytes
        self.done_bytes = 0
        self.ended = False
        self._listener = listener
        self._counting = Lock()
        self._tell()

    def advance(self, count: int) -> None:
        """So many bytes more are done; fewer, where some have to be done again. Any thread may say so."""
        with self._counting:
            self.done_bytes += count
        self._tell()

    def end(self) -> None:
        """It is over, well or not."""
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        if self._listener is not None:
            self._listener(self)


Listener = Callable[[Work], None]

_listener: ContextVar[Listener | None] = ContextVar("tg-progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have the work that is done in the block told to `listener`."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def listen(listener: Listener | None) -> None:
    """Have work told to `listener` from now on, in this context: for whoever has no block, as a notebook between its cells."""
    _listener.set(listener)


@contextmanager
def working(what: str, total_bytes: int | None = None) -> Iterator[Work]:
    """The block is a piece of work; it calls `advance` for what it has done."""
    work = Work(what, total_bytes, _listener.get())
    try:
        yield work
    finally:
        work.end()
