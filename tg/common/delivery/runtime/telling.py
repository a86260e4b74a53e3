"""Telling: what the worker logs and prints, on its way to the owner.

Each line or record is one datagram: they keep the order they were written in, and none is ever cut by another's, whichever
thread or child process writes. What is written to the file descriptors 1 and 2 behind Python's back goes through pipes.
"""

from __future__ import annotations

import io
import logging
import pickle
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any

__all__ = ["LINE_OF_ERRORS", "LINE_OF_OUTPUT", "RECORD", "Telling"]

LINE_OF_OUTPUT, LINE_OF_ERRORS, RECORD = b"o", b"e", b"r"
"""The first byte of a datagram: text for the standard output, for the standard error, or a record that was logged."""

_PIECE_BYTES = 1024 if sys.platform == "darwin" else 32 * 1024
_LONG = _PIECE_BYTES // 8
_PLAIN = (str, int, float, type(None))


class Telling:
    """The way to the owner, and those who use it: the standard streams of Python, and a handler for all loggers."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def take_over(self) -> None:
        """Let this process's lines and records go to the owner."""
        sys.stdout = _stream(self._connection, LINE_OF_OUTPUT, 1)
        sys.stderr = _stream(self._connection, LINE_OF_ERRORS, 2)
        logging.getLogger().addHandler(_Handler(self._connection))

    def flush(self) -> None:
        """Send what is written so far of a line."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # the job has put another there, or closed it
                stream.flush()


def _stream(connection: socket.socket, kind: bytes, fd: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(_Raw(connection, kind, fd), _PIECE_BYTES)
    return io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)


class _Raw(io.RawIOBase):
    """What lies below a standard stream. Its descriptor is the real one, for the processes that the job starts."""

    def __init__(self, connection: socket.socket, kind: bytes, fd: int) -> None:
        self._connection = connection
        self._kind = kind
        self._fd = fd

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any, /) -> int:
        piece = bytes(memoryview(data)[:_PIECE_BYTES])
        self._connection.send(self._kind + piece)
        return len(piece)


class _Handler(logging.Handler):
    """Sends records, as plain values: what they were logged with need not be known where they are handled."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        try:
            told = {**vars(record), "msg": record.getMessage(), "args": None}
            if record.exc_info and not record.exc_text:
                told["exc_text"] = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            plain = {name: _plain(value) for name, value in told.items() if isinstance(value, _PLAIN)}
            try:
                self._connection.send(RECORD + pickle.dumps(plain))
            except OSError:  # larger than a datagram can be
                cut = {name: _shortened(value) if isinstance(value, str) else value for name, value in plain.items()}
                self._connection.send(RECORD + pickle.dumps(cut))
        except Exception:  # noqa: BLE001 as `logging` has it: a record that cannot be told takes nobody down
            self.handleError(record)


def _plain(value: Any) -> Any:
    """Text or a number without a class of its own, as members of enumerations have."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool) or value is None:
        return value
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]} […]"
