"""A replica: one worker of a version, as the server has it. Requests go in, answers come back in any number at once."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

from ..runtime.errors import WorkerEnded
from .children import Child
from .frames import ANSWER, FAILED, LOG, READY, STATE, Frame, FrameReader, pack
from .under_way import UnderWay

__all__ = ["FailedToStart", "Killable", "Replica", "Request", "Tell", "within"]

_LAST_LINES = 50
_LAST_PIECES = 16
"""So many pieces of output are taken in when it has ended: what it has started may write on."""
_LINE_BYTES = 64 * 1024
"""A line that is longer is several."""
Tell: TypeAlias = Callable[[Mapping[str, Any]], None]


class FailedToStart(Exception):
    """A worker cannot serve: the package does not load, does not warm up, or answers wrongly. `log` is what it wrote.

    `kind` is the name of the error that it told, where it was one of delivery's.
    """

    def __init__(self, reason: str, *, log: str = "", kind: str = "") -> None:
        super().__init__(reason)
        self.log = log
        self.kind = kind


class Killable(Protocol):
    """What can be given up: a replica of either kind."""

    gone: asyncio.Future[None]

    def kill(self) -> None:
        """End it at once."""

    def last_lines(self) -> str:
        """The end of what it wrote."""


class Request(NamedTuple):
    """What is asked of a job: the kind of frame, its body, and facts about it that the job's log and trace need."""

    kind: int
    body: bytes
    facts: Mapping[str, Any]


class Replica(asyncio.Protocol):
    """Sends requests to a child that runs the program `worker` or `installation`, and tells what it logs; `difference` has none."""

    def __init__(self, child: Child, tell: Tell) -> None:
        self._loop = asyncio.get_running_loop()
        self.child = child
        self.ready: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.on_answer: Callable[[], None] = lambda: None
        self.under_way = UnderWay()
        self._tell = tell
        self._reader = FrameReader()
        self._to_send: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._is_killed = False
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._unfinished = b""

    @classmethod
    async def of(cls, child: Child, tell: Tell) -> Replica:
        """The replica of a child that has just been started."""
        loop = asyncio.get_running_loop()
        replica = cls(child, tell)
        loop.add_reader(child.output, replica._take_output)
        await loop.create_connection(lambda: replica, sock=child.channel)
        return replica

    @property
    def process_id(self) -> int:
        """That of the worker's process."""
        return self.child.number

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self._transport is not None and not self._transport.is_closing() and not self._is_killed

    def ask(self, request: Request, future: asyncio.Future[Frame]) -> None:
        """Send a request. The future gets the answer, or `WorkerEnded` when the worker ends before, or has ended."""
        if self.gone.done():
            future.set_exception(WorkerEnded("the worker has ended", exit_code=None, stderr=self.last_lines()))
            return
        number = self.under_way.add(future)
        if not self._to_send:  # what other requests add in this turn of the loop goes with it
            self._loop.call_soon(self._flush)
        self._to_send.append(pack(request.kind, number, request.body, facts=request.facts))

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._is_killed = True
        self.child.kill()

    def end(self) -> None:
        """Close its socket: it ends after what it is doing."""
        if self._transport is not None:
            self._transport.close()

    def last_lines(self) -> str:
        """The end of what it wrote to stdout and stderr."""
        return "\n".join(self._lines)

    def forget_lines(self) -> None:
        """Begin anew with what it writes."""
        self._lines.clear()
        self._unfinished = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)  # those of uvloop are of no class of asyncio's

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        for frame in self._reader.frames_of(data):
            if frame.kind == ANSWER:
                self.under_way.answered(frame)
                self.on_answer()
            elif frame.kind in (STATE, LOG):
                self._tell(frame.known())
            elif self.ready.done():
                continue
            elif frame.kind == READY:
                self.ready.set_result(frame.known())
            elif frame.kind == FAILED:
                facts = frame.known()
                log = "\n".join(filter(None, (self.last_lines(), facts.get("traceback", ""))))
                self.ready.set_exception(FailedToStart(facts["reason"], log=log, kind=facts.get("error", "")))

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`: the worker has ended, or was let go."""
        self._transport = None
        self._ending = self._loop.create_task(self._tell_of_end())

    async def _tell_of_end(self) -> None:
        try:
            code = await asyncio.wait_for(asyncio.shield(self.child.ended), 5)
        except asyncio.TimeoutError:
            self.kill()
            code = await self.child.ended
        for _ in range(_LAST_PIECES):
            if not self._take_output():
                break
        self._loop.remove_reader(self.child.output)
        self.child.close()
        if self._unfinished:
            self._take_line(self._unfinished)
        how = "ended" if code is None else f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        said = self.last_lines()
        if not self.ready.done():
            self.ready.set_exception(FailedToStart(f"the worker {how} before it could answer", log=said))
        self.ready.exception()  # nobody may have asked
        self.under_way.fail_all(WorkerEnded(f"the worker {how} meanwhile", exit_code=code, stderr=said))
        if not self.gone.done():
            self.gone.set_result(None)

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._to_send))
        self._to_send.clear()

    def _take_output(self) -> bool:
        """Take in a piece of what it has written; whether there was one."""
        try:
            data = os.read(self.child.output, 64 * 1024)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self.child.output)
            return False
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if len(self._unfinished) > _LINE_BYTES:
            lines.append(self._unfinished)
            self._unfinished = b""
        for line in lines:
            self._take_line(line)
        return True

    def _take_line(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        self._lines.append(text)
        self._tell({"level": "INFO", "logger": "output", "message": text})


async def within(future: Any, replica: Killable, seconds: float, what: str) -> Any:
    """What comes of a future of a replica. When it takes longer, or is cancelled, the replica is killed. Raises `FailedToStart`."""
    try:
        return await asyncio.wait_for(asyncio.shield(future), seconds)
    except asyncio.CancelledError:
        replica.kill()
        raise
    except asyncio.TimeoutError:
        replica.kill()
        await asyncio.shield(replica.gone)
        raise FailedToStart(
            f"{what} has not ended after {seconds:g} s, and was given up", log=replica.last_lines()
        ) from None
