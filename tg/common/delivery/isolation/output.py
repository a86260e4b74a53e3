"""Output: what the worker prints and logs, passed on to the owner's streams and loggers.

A thread passes it on as it comes. What was written before a call was answered is passed on before the call returns: the
thread that has called takes in itself what is there. A handler or a stream that fails is told as any error of a thread, and
takes down neither the call nor the thread, without which the worker would sooner or later wait for ever to be heard.
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
from contextlib import suppress

from ...logger import Logger
from ..runtime.telling import LINE_OF_ERRORS, LINE_OF_OUTPUT, RECORD
from .interrupts import is_interrupt

__all__ = ["Output"]

_LAST_LINES = 30
_LAST_CHARACTERS = 8 * 1024
"""So much of the standard error is kept at most: a bar of progress is one line, however long it runs."""
_PATIENCE_SECONDS = 1.0
_DATAGRAM_BYTES = 256 * 1024
_PIPE_BYTES = 64 * 1024
_MOST_BYTES = 1024 * 1024
"""More than what a pipe or a socket has at one time, unless the system gives sockets larger buffers than usual."""
_DATAGRAM_COST = 512
"""Less than what is counted for a datagram besides its bytes."""


class Output:
    """The three ways that a worker's output comes by: told by its Python, and the pipes of its descriptors 1 and 2."""

    def __init__(self, told: socket.socket, stdout: int, stderr: int) -> None:
        self._told = told
        self._kinds = {stdout: LINE_OF_OUTPUT, stderr: LINE_OF_ERRORS, told.fileno(): RECORD}
        self._decoders = {kind: codecs.getincrementaldecoder("utf-8")("replace") for kind in (b"1", b"2", b"o", b"e")}
        self._last = ""
        self._most = max(_MOST_BYTES, 2 * told.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
        self._ready = select.poll()
        self._waiting = select.poll()
        self._stop, self._stopping = os.pipe()
        self._open = [stdout, stderr, self._stop, self._stopping]
        self._waiting.register(self._stop, select.POLLIN)
        for fd in self._kinds:
            os.set_blocking(fd, False)
            self._ready.register(fd, select.POLLIN)
            self._waiting.register(fd, select.POLLIN)
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._pass_on, name="tg-worker-output", daemon=True)
        self._thread.start()

    def take_in(self) -> None:
        """Pass on what has been written; a thread of the worker may go on writing, and is not waited for."""
        # The other thread may wait for a lock that this one has: a log handler that is formatting a proxy, whose worker logs.
        if not self._lock.acquire(timeout=_PATIENCE_SECONDS):
            return
        try:
            left = dict.fromkeys(self._kinds, self._most)
            while ready := [fd for fd, _ in self._ready.poll(0) if left[fd] > 0]:
                for fd in ready:
                    size = self._read(fd)
                    left[fd] -= size + _DATAGRAM_COST
                    if not size:
                        self._ready.unregister(fd)
        finally:
            self._lock.release()

    def last_lines_of_errors(self) -> str:
        """The end of what was written to the standard error."""
        return "\n".join(self._last.strip("\n").split("\n")[-_LAST_LINES:])

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
        """Close what is open. A fork does nothing else: it has not got the thread, and nobody to unlock what is locked."""
        while self._open:
            os.close(self._open.pop())
        self._told.close()
        self._kinds.clear()
        self._ready = select.poll()

    def _pass_on(self) -> None:
        while self._kinds:
            events = self._waiting.poll()
            if any(fd == self._stop for fd, _ in events):
                return
            with self._lock, suppress(SystemExit):  # which ends no process but in its main thread
                for fd, _ in events:
                    if fd in self._kinds and not self._read(fd):
                        self._waiting.unregister(fd)

    def _read(self, fd: int) -> int:
        """Read once, and pass it on; nothing more comes where the size is 0."""
        kind = self._kinds[fd]
        try:
            data = self._told.recv(_DATAGRAM_BYTES) if kind == RECORD else os.read(fd, _PIPE_BYTES)
        except BlockingIOError:  # the other thread has had it
            return 1
        except OSError as error:
            if is_interrupt(error):  # a time limit's `TimeoutError` is one of these
                raise
            return 0
        if data:
            try:
                self._pass_on_data(kind, data)
            except Exception as error:
                if is_interrupt(error):
                    raise
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
        return len(data)

    def _pass_on_data(self, kind: bytes, data: bytes) -> None:
        if kind != RECORD:
            self._write(kind, self._decoders[b"1" if kind == LINE_OF_OUTPUT else b"2"].decode(data))
        elif data[:1] == RECORD:
            _handle(data[1:])
        else:
            self._write(data[:1], self._decoders[data[:1]].decode(data[1:]))

    def _write(self, kind: bytes, text: str) -> None:
        if kind == LINE_OF_ERRORS:
            self._last = (self._last + text)[-_LAST_CHARACTERS:]
        stream = sys.stdout if kind == LINE_OF_OUTPUT else sys.stderr
        if stream is None:
            return
        try:
            try:
                stream.write(text)
            except UnicodeEncodeError as error:  # an ASCII terminal: better so than not at all
                stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
            stream.flush()
        except (OSError, ValueError) as error:  # closed or broken: nobody wants to see it
            if is_interrupt(error):
                raise


def _handle(data: bytes) -> None:
    record = logging.makeLogRecord(pickle.loads(data))
    if record.name == "tg":
        Logger.handle(record)
        return
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
