"""Output: what the worker prints and logs, passed on to the owner's streams and loggers.

A thread passes it on as it comes. What was written before a call was answered is passed on before the call returns: the
thread that has called takes in itself what is there.
"""

from __future__ import annotations

import codecs
import logging
import os
import pickle
import select
import socket
import sys
import threading
from collections import deque

from ...logger import Logger
from ..runtime.telling import LINE_OF_ERRORS, LINE_OF_OUTPUT, RECORD

__all__ = ["Output"]

_LAST_LINES = 30
_PATIENCE_SECONDS = 1.0
_DATAGRAM_BYTES = 256 * 1024
_PIPE_BYTES = 64 * 1024


class Output:
    """The three ways that a worker's output comes by: told by its Python, and the pipes of its descriptors 1 and 2."""

    def __init__(self, told: socket.socket, stdout: int, stderr: int) -> None:
        self._told = told
        self._kinds = {stdout: LINE_OF_OUTPUT, stderr: LINE_OF_ERRORS, told.fileno(): RECORD}
        self._decoders = {kind: codecs.getincrementaldecoder("utf-8")("replace") for kind in (b"1", b"2", b"o", b"e")}
        self._last = deque([""], maxlen=_LAST_LINES)
        self._ready = select.poll()
        self._waiting = select.poll()
        self._stop, self._stopping = os.pipe()
        self._waiting.register(self._stop, select.POLLIN)
        for fd in self._kinds:
            os.set_blocking(fd, False)
            self._ready.register(fd, select.POLLIN)
            self._waiting.register(fd, select.POLLIN)
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._pass_on, name="tg-worker-output", daemon=True)
        self._thread.start()

    def take_in(self) -> None:
        """Pass on what has been written."""
        # The other thread may wait for a lock that this one has: a log handler that is formatting a proxy, whose worker logs.
        if not self._lock.acquire(timeout=_PATIENCE_SECONDS):
            return
        try:
            while ready := self._ready.poll(0):
                for fd, _ in ready:
                    if not self._read(fd):
                        self._ready.unregister(fd)
        finally:
            self._lock.release()

    def last_lines_of_errors(self) -> str:
        """The end of what was written to the standard error."""
        return "\n".join(self._last).strip("\n")

    def close(self) -> None:
        """Pass on what is left, and stop. The worker has ended."""
        try:
            os.write(self._stopping, b".")
            if threading.current_thread() is not self._thread:
                self._thread.join()
            self.take_in()
        finally:
            self.drop()

    def drop(self) -> None:
        """Close all ends. A fork does nothing else: it has not got the thread, and nobody to unlock what is locked."""
        for fd in [fd for fd, kind in self._kinds.items() if kind != RECORD] + [self._stop, self._stopping]:
            os.close(fd)
        self._told.close()
        self._kinds.clear()
        self._ready = select.poll()

    def _pass_on(self) -> None:
        while self._kinds:
            events = self._waiting.poll()
            if any(fd == self._stop for fd, _ in events):
                return
            with self._lock:
                for fd, _ in events:
                    if fd in self._kinds and not self._read(fd):
                        self._waiting.unregister(fd)

    def _read(self, fd: int) -> bool:
        """Read once, and pass it on; whether more may come."""
        kind = self._kinds[fd]
        try:
            data = self._told.recv(_DATAGRAM_BYTES) if kind == RECORD else os.read(fd, _PIPE_BYTES)
        except BlockingIOError:  # the other thread has had it
            return True
        except OSError:
            data = b""
        if not data:
            return False
        if kind != RECORD:
            self._write(kind, self._decoders[b"1" if kind == LINE_OF_OUTPUT else b"2"].decode(data))
        elif data[:1] == RECORD:
            _handle(data[1:])
        else:
            self._write(data[:1], self._decoders[data[:1]].decode(data[1:]))
        return True

    def _write(self, kind: bytes, text: str) -> None:
        if kind == LINE_OF_ERRORS:
            first, *more = text.split("\n")
            self._last[-1] += first
            self._last.extend(more)
        stream = sys.stdout if kind == LINE_OF_OUTPUT else sys.stderr
        if stream is None:
            return
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError):  # closed or broken: nobody wants to see it
            pass


def _handle(data: bytes) -> None:
    record = logging.makeLogRecord(pickle.loads(data))
    if record.name == "tg":
        Logger.handle(record)
        return
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
