"""A pool: the workers of one version, and the requests that wait for one of them."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from .frames import Frame
from .local_replica import LocalReplica
from .replica import Replica, Request

__all__ = ["AnyReplica", "Limits", "Overloaded", "Pool", "TookTooLong"]

AnyReplica: TypeAlias = Replica | LocalReplica

_AHEAD_SECONDS = 0.002
_AHEAD = 32
_END_SECONDS = 5.0
_PATIENCE_SECONDS = (0.1, 0.5, 2.0, 5.0)
"""How long it waits before it starts another worker, after each one that could not be started, or ended at once."""
_SETTLED_SECONDS = 5.0
"""One that has lived so long ends for reasons of its own, and not because the version cannot live here."""


class Overloaded(Exception):
    """A request has no worker: too many wait already, or it has waited too long. Nothing of it was begun."""


class TookTooLong(Exception):
    """A request took longer than one may, and its worker was ended for it."""


class Limits(NamedTuple):
    """What a pool bounds: how many requests wait, for how long, and how long one may take, in seconds."""

    waiting: int = 1000
    waiting_seconds: float = 10.0
    request_seconds: float = 60.0


class _Waiting(NamedTuple):
    request: Request
    answer: asyncio.Future[Frame]
    until: float


class Pool:
    """Gives each request to the worker that has least to do; a worker that ends is replaced.

    A worker gets so many requests ahead as it answers in two milliseconds, 32 at most: then it never waits for the next one,
    and none waits behind one that takes long while another worker is free. One whose job takes batches gets two of them.
    """

    def __init__(self, start: Callable[[], Awaitable[AnyReplica]], size: int, limits: Limits) -> None:
        self._start = start
        self._size = size
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._replicas: list[AnyReplica] = []
        self._waiting: deque[_Waiting] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._batch_size = 1
        self._closed = False
        self._overdue: set[AnyReplica] = set()
        self._early_ends = 0
        self.description: Mapping[str, Any] = {}
        """What the package says of itself, from `Service.describe`."""
        self.users = 0
        """How many requests have been given to it and are not answered yet."""

    async def open(self) -> None:
        """Start the workers. Raises `FailedToStart` when one does not come to serve; then none is left."""
        try:
            first = await self._one_more()  # it compiles what the others read
            await asyncio.gather(*(self._one_more() for _ in range(self._size - 1)))
        except BaseException:
            await self.close()
            raise
        self.description = first.ready.result()
        self._batch_size = self.description.get("batch_size", 1)
        self._keep(self._watch())

    def ask(self, request: Request) -> asyncio.Future[Frame]:
        """Have a request answered. Raises `Overloaded`; the future raises that, `TookTooLong` and `WorkerEnded`."""
        answer: asyncio.Future[Frame] = self._loop.create_future()
        replica = None if self._waiting else self._free()
        if replica is not None:
            replica.ask(request, answer)
        elif len(self._waiting) >= self._limits.waiting:
            raise Overloaded(f"{len(self._waiting)} requests wait already")
        else:
            self._waiting.append(_Waiting(request, answer, self._loop.time() + self._limits.waiting_seconds))
        return answer

    def drop_those_left(self) -> None:
        """Give the places of requests that nobody waits for any more to others."""
        self._waiting = deque(one for one in self._waiting if not one.answer.done())

    @property
    def waiting(self) -> int:
        """How many requests have no worker yet."""
        return len(self._waiting)

    @property
    def workers(self) -> int:
        """How many workers it has at the moment."""
        return len(self._replicas)

    @property
    def process_ids(self) -> list[int]:
        """Those of its workers that are processes."""
        return [replica.process_id for replica in self._replicas if replica.process_id is not None]

    async def drain(self, seconds: float) -> None:
        """Let what was given to it be answered, for so long at most, and then end its workers."""
        until = self._loop.time() + seconds
        while (self.users or self._waiting) and self._loop.time() < until:
            await asyncio.sleep(0.005)
        await self.close()

    async def close(self) -> None:
        """End its workers; what waits is told. Whoever is cancelled meanwhile leaves the rest to the next who calls this."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        while self._waiting:
            _raise(self._waiting.popleft().answer, Overloaded("the version was unloaded"))
        for replica in self._replicas:
            replica.end()
        if self._replicas:
            _, left = await asyncio.wait([replica.gone for replica in self._replicas], timeout=_END_SECONDS)
            for replica in self._replicas:
                if replica.gone in left:  # stuck in a call, so that it does not see its socket closed
                    replica.kill()
            if left:
                await asyncio.wait(left)
        self._replicas.clear()

    def _free(self) -> AnyReplica | None:
        best: AnyReplica | None = None
        least = 1 << 30
        for replica in self._replicas:
            if len(replica.under_way) < least and replica.is_open:
                best, least = replica, len(replica.under_way)
        return best if best is not None and least < self._ahead(best) else None

    def _ahead(self, replica: AnyReplica) -> int:
        if self._batch_size > 1:
            return 2 * self._batch_size
        seconds = replica.under_way.seconds
        return _AHEAD if seconds * _AHEAD <= _AHEAD_SECONDS else max(1, int(_AHEAD_SECONDS / seconds))

    def _serve_waiting(self) -> None:
        while self._waiting:
            replica = self._free()
            if replica is None:
                return
            waiting = self._waiting.popleft()
            if not waiting.answer.done():  # its client may be gone
                replica.ask(waiting.request, waiting.answer)

    async def _one_more(self) -> AnyReplica:
        replica = await self._start()
        try:
            await asyncio.shield(replica.ready)
        except BaseException:
            replica.kill()
            raise
        if self._closed:
            replica.end()
            return replica
        replica.on_answer = self._serve_waiting
        self._replicas.append(replica)
        self._keep(self._replace_when_gone(replica))
        self._serve_waiting()
        return replica

    async def _replace_when_gone(self, replica: AnyReplica) -> None:
        ready_at = self._loop.time()
        await asyncio.shield(replica.gone)  # a task that is cancelled cancels what it waits for
        self._replicas.remove(replica)
        self._overdue.discard(replica)
        self._early_ends = self._early_ends + 1 if self._loop.time() - ready_at < _SETTLED_SECONDS else 0
        pauses = (0.0, *_PATIENCE_SECONDS)
        begin = min(max(0, self._early_ends - 1), len(pauses) - 1)
        for seconds in itertools.chain(pauses[begin:], itertools.repeat(pauses[-1])):
            await asyncio.sleep(seconds)
            try:
                await self._one_more()
            except Exception:  # noqa: BLE001 its reason is in the log already; the next may be luckier
                continue
            return

    async def _watch(self) -> None:
        """Look at times every now and then: a timer for each request would cost more."""
        while True:
            await asyncio.sleep(min(0.25, self._limits.waiting_seconds / 4, self._limits.request_seconds / 4))
            now = self._loop.time()
            while self._waiting and (self._waiting[0].until < now or self._waiting[0].answer.done()):
                late = self._waiting.popleft()
                _raise(late.answer, Overloaded(f"no worker was free for {self._limits.waiting_seconds:g} s"))
            for replica in self._replicas:
                since = replica.under_way.busy_since
                if since is not None and now - since > self._limits.request_seconds and replica not in self._overdue:
                    self._overdue.add(replica)
                    text = f"it took longer than {self._limits.request_seconds:g} s, and its worker was ended"
                    replica.under_way.fail_oldest(TookTooLong(text))
                    replica.kill()

    def _keep(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _raise(future: asyncio.Future[Frame], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
