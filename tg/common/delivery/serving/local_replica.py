"""A local replica: a worker that is a thread of the server's own process, for what need not be kept apart.

It answers sooner and costs no process. What it does to its interpreter, it does to the server's: a job that ends the process
ends the server, one that hangs keeps its thread for good, and imports hold up whatever else is answered meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..runtime.errors import WorkerEnded
from .frames import ANSWER, Frame
from .json_lines import about
from .replica import FailedToStart, Request, Tell
from .service import Answer, Service
from .under_way import UnderWay
from .worker import loaded_service

__all__ = ["LocalReplica"]

_END_SECONDS = 5.0
"""So long it may take to end; then it is left to itself."""


class LocalReplica:
    """Answers requests in a thread, by a job of its own; it has all that `Replica` has for a pool."""

    process_id = None
    is_open = True

    def __init__(self, folder: Path, facts: Mapping[str, Any], tell: Tell) -> None:
        """`folder` is that of the installed package, `facts` are what lines of the log have besides."""
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.on_answer: Callable[[], None] = lambda: None
        self.under_way = UnderWay()
        self._folder = folder
        self._facts = facts
        self._tell = tell
        self._asked: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=f"tg {folder.name}", daemon=True).start()

    def ask(self, request: Request, future: asyncio.Future[Frame]) -> None:
        """Have a request answered. The future gets the answer, or `WorkerEnded` when the thread is given up before."""
        number = self.under_way.add(future)
        self._asked.put(Frame(number, request.kind, 0, json.dumps(dict(request.facts)).encode(), request.body))

    def end(self) -> None:
        """Let it end after what it was asked for."""
        self._asked.put(None)
        self._loop.call_later(_END_SECONDS, self.kill)

    def kill(self) -> None:
        """Give the thread up: nothing that it does matters any more. Nothing ends a thread but its own code."""
        self._asked.put(None)
        self._end("its thread was given up")

    def last_lines(self) -> str:
        """See `Replica`; what a thread writes to stdout is the server's own output."""
        return ""

    def _work(self) -> None:
        about.set(self._facts)
        try:
            with self._telling():
                service, facts = loaded_service(self._folder, lambda facts: self._soon(self._tell, facts))
        except BaseException as error:  # noqa: BLE001 whatever keeps it from serving is the reason that is told
            reason = f"{type(error).__name__}: {error}"
            self._soon(self._failed, reason, "".join(traceback.format_exception(error)))
            return
        self._soon(self._serves, facts)
        try:
            while self._answer_some(service):
                pass
        finally:
            self._soon(self._end, "its thread has ended")

    def _answer_some(self, service: Service) -> bool:
        """Answer one request, or as many as are done together; whether there are to be more."""
        frame = self._asked.get()
        if frame is None or not self.is_open:  # of what was asked before it was given up, nobody waits for an answer
            return False
        if service.batch_size == 1:
            self._soon(self._answered, _answer_frame(frame, service.answer(frame)))
            return True
        taken, goes_on = [frame], True
        until = time.perf_counter() + service.batch_window_seconds
        while len(taken) < service.batch_size:
            try:
                more = self._asked.get(timeout=max(0.0, until - time.perf_counter()))
            except queue.Empty:
                break
            if more is None:
                goes_on = False
                break
            taken.append(more)
        for one, answer in zip(taken, service.answer_batch(taken), strict=True):
            self._soon(self._answered, _answer_frame(one, answer))
        return goes_on

    def _soon(self, call: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the server's loop is closed: it ends
            self._loop.call_soon_threadsafe(call, *arguments)

    def _serves(self, facts: Mapping[str, Any]) -> None:
        if not self.ready.done():
            self.ready.set_result(facts)

    def _failed(self, reason: str, log: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(FailedToStart(reason, log=log))
        self._end(reason)

    def _answered(self, frame: Frame) -> None:
        if self.is_open:  # otherwise it was given up, and nobody waits
            self.under_way.answered(frame)
            self.on_answer()

    def _end(self, reason: str) -> None:
        self.is_open = False
        if not self.ready.done():
            self.ready.set_exception(FailedToStart(reason))
        self.ready.exception()  # nobody may have asked
        self.under_way.fail_all(WorkerEnded(f"{reason} meanwhile", exit_code=None, stderr=""))
        if not self.gone.done():
            self.gone.set_result(None)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell the lines that this thread logs meanwhile to whoever deploys; the server's log has them by itself."""
        handler = _OfThisThread(lambda facts: self._soon(self._tell, facts))
        logging.getLogger().addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)


class _OfThisThread(logging.Handler):
    """The lines of the thread that has made it."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        if record.thread == self._thread:
            self._tell({"message": record.getMessage(), "is_logged": True})


def _answer_frame(frame: Frame, answer: Answer) -> Frame:
    facts = json.dumps(dict(answer.facts)).encode() if answer.facts else b""
    return Frame(frame.number, ANSWER, answer.status, facts, answer.body)
