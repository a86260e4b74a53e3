"""The worker of a served version: the program that loads the package, proves that it answers, and then answers.

It does one request after the other, in its main thread. Requests that wait in its socket are taken in together, and answers
that are ready within a millisecond are sent together. It ends when the server does.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..runtime.entry_point import EntryPoint
from ..runtime.module_tree import ModuleTree
from .frames import ANSWER, FAILED, LOG, READY, STATE, Frame, FrameReader, pack
from .service import Answer, Service, request_facts
from .signature import JobSignature

__all__ = ["loaded_service", "main", "prepare"]

_TOGETHER_SECONDS = 0.001
_ROOM_BYTES = 256 * 1024


def prepare() -> None:
    """Do once in a nursery what would be done in each of its forks: the first signature imports, and looks for plug-ins."""
    JobSignature(lambda value: value).schema()


def main(connection: socket.socket, *, folder: str) -> None:
    """Serve the installed package whose folder `UID/` is given, until the other end is closed."""
    sending = threading.RLock()  # a job's threads log while an answer is sent, in as many pieces as the socket takes

    def send(data: bytes) -> None:
        with sending:
            connection.sendall(data)

    logging.getLogger().addHandler(_LogToServer(send))
    logging.getLogger().setLevel(logging.INFO)  # as the server's own
    try:
        service, facts = loaded_service(Path(folder), lambda facts: send(pack(STATE, facts=facts)))
    except BaseException as error:  # noqa: BLE001 whatever keeps it from serving is the reason that is told
        frames = traceback.format_exception(error)
        reason = f"{type(error).__name__}: {error}"
        send(pack(FAILED, facts={"reason": reason, "traceback": "".join(frames)}))
        return
    send(pack(READY, facts=facts))
    with suppress(ConnectionError):
        _serve(connection, send, service)


def loaded_service(folder: Path, tell: Callable[[Mapping[str, Any]], None]) -> tuple[Service, dict[str, Any]]:
    """The service of an installed package, warmed up and proved, and what it says of itself; `tell` hears how far it is."""
    ModuleTree(folder.name, folder).take_over()
    started = time.perf_counter()
    tell({"state": "loading"})
    service = Service(EntryPoint.of_folder(folder))
    loaded = time.perf_counter()
    tell({"state": "warming"})
    service.warm_up()
    samples = service.answer_samples()
    seconds = {"loading": loaded - started, "warming": time.perf_counter() - loaded}
    return service, {**service.describe(), "samples": samples, "seconds": seconds}


def _serve(connection: socket.socket, send: Callable[[bytes], None], service: Service) -> None:
    reader = FrameReader()
    waiting: deque[Frame] = deque()
    answers: list[bytes] = []
    sent = time.perf_counter()
    poll = select.poll()
    poll.register(connection, select.POLLIN)

    def take_in() -> bool:
        data = connection.recv(_ROOM_BYTES)
        waiting.extend(reader.frames_of(data))
        return bool(data)

    while True:
        if not waiting:
            if answers:
                send(b"".join(answers))
                answers.clear()
            if not take_in():
                return
            sent = time.perf_counter()
            continue
        if service.batch_size > 1:
            if answers and len(waiting) < service.batch_size:  # they are not to wait for the window of the next batch
                send(b"".join(answers))
                answers.clear()
                sent = time.perf_counter()
            until = time.perf_counter() + service.batch_window_seconds
            while len(waiting) < service.batch_size:
                left = until - time.perf_counter()
                if not poll.poll(max(0.0, 1000 * left)):
                    break
                if not take_in():
                    return
            taken = [waiting.popleft() for _ in range(min(len(waiting), service.batch_size))]
            answers += [
                _packed(frame, answer) for frame, answer in zip(taken, service.answer_batch(taken), strict=True)
            ]
        else:
            frame = waiting.popleft()
            answers.append(_packed(frame, service.answer(frame)))
        if time.perf_counter() - sent > _TOGETHER_SECONDS:
            send(b"".join(answers))
            answers.clear()
            sent = time.perf_counter()


def _packed(frame: Frame, answer: Answer) -> bytes:
    return pack(ANSWER, frame.number, answer.body, status=answer.status, facts=answer.facts)


class _LogToServer(logging.Handler):
    """Lines of the log, to the server's own: it knows whose they are."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line, with the ids of the request that it is about."""
        try:
            text = record.getMessage()
            if record.exc_info:
                text = f"{text}\n{''.join(traceback.format_exception(*record.exc_info))}".rstrip()
            facts = {
                "level": record.levelname,
                "logger": record.name,
                "message": text,
                **request_facts.get(),
            }
            self._send(pack(LOG, facts=facts))
        except Exception:  # noqa: BLE001 the same as the handlers of `logging` do
            self.handleError(record)
