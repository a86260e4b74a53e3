"""What a task prints and logs, told from what other threads of the same worker say at the same time."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from ...logger import LineFormatter, program_has_handlers

__all__ = ["TaskOutput", "said"]

_LIMIT_CHARACTERS = 4 * 1024 * 1024
_local = threading.local()
_installing = threading.Lock()
_registering = threading.Lock()


class TaskOutput:
    """Takes in what this thread writes to the standard streams and tells the tg Logger, while it is entered.

    It is the run's then, and not shown on the worker's own streams. `place` is what `logs` has it under. A task that says more
    than 4 Mi characters is cut there, and that is said. Threads that the job starts are not heard, and write where the worker does.
    """

    def __init__(self, name: str, tell: Callable[[str], None] | None = None) -> None:
        """`name` is what `said` knows it by; `tell` hears everything as it comes."""
        self.place = -1
        self._name = name
        self._tell = tell
        self._parts: list[tuple[int, str]] = []
        self._left = _LIMIT_CHARACTERS

    def __enter__(self) -> TaskOutput:
        _install()
        _local.output = self
        with _registering:
            _running[self._name] = self
        return self

    def __exit__(self, *exception: object) -> None:
        _local.output = None
        with _registering:  # a worker has several tasks of one map at once, all of that map's name
            if _running.get(self._name) is self:
                del _running[self._name]

    @property
    def logs(self) -> list[tuple[int, str]]:
        """What was said, by place."""
        joined: list[tuple[int, list[str]]] = []
        for place, text in self._parts:
            if not joined or joined[-1][0] != place:
                joined.append((place, []))
            joined[-1][1].append(text)
        return [(place, "".join(texts)) for place, texts in joined]

    def add(self, text: str) -> None:
        """Take in a text; lines come in any pieces."""
        if self._left <= 0 or not text:
            return
        kept = text[: self._left]
        self._left -= len(text)
        if self._left <= 0:
            kept += f"\n(what this task says further is not kept: it was {_LIMIT_CHARACTERS} characters)\n"
        self._parts.append((self.place, kept))
        if self._tell is not None:
            self._tell(kept)


def said(name: str, position: int) -> str:
    """What the task of that name, running in this process, has said so far, from a position on, in characters."""
    output = _running.get(name)
    return "" if output is None else "".join(text for _, text in list(output._parts))[position:]


_running: dict[str, TaskOutput] = {}


class _Stream(io.TextIOBase):
    """Stands before a standard stream. It is the worker's, and so a job cannot close it.

    What `io.TextIOBase` has of its own is that of the stream: without, `encoding` would be None, and the finalizer would flush a
    stream that may have been closed, which Python tells from 3.13 on.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        output: TaskOutput | None = getattr(_local, "output", None)
        if output is not None:
            output.add(text)
            return len(text)
        return self._stream.write(text)

    def close(self) -> None:
        with suppress(OSError, ValueError):  # the worker has closed it
            self._stream.flush()

    @property
    def closed(self) -> bool:
        return self._stream.closed

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Listener(logging.Filter):
    """Hears what is logged, where the worker has handlers of its own, and so the lines do not go to the standard output."""

    def __init__(self) -> None:
        super().__init__()
        self._formatter = LineFormatter()

    def filter(self, record: logging.LogRecord) -> bool:
        output: TaskOutput | None = getattr(_local, "output", None)
        if output is not None and program_has_handlers():
            try:
                text = self._formatter.format(record)
            except Exception as error:  # noqa: BLE001 as in a handler: a record that cannot be shown does not end the job
                text = f"(a line that cannot be shown: {error})"
            output.add(text + "\n")
        return True


def _install() -> None:
    """Stand before the standard streams of the moment: the worker, or a job, may have put others there."""
    with _installing:
        if type(sys.stdout) is not _Stream and sys.stdout is not None:
            sys.stdout = _Stream(sys.stdout)
        if type(sys.stderr) is not _Stream and sys.stderr is not None:
            sys.stderr = _Stream(sys.stderr)
        logger = logging.getLogger("tg")
        if not any(type(one) is _Listener for one in logger.filters):
            logger.addFilter(_Listener())
