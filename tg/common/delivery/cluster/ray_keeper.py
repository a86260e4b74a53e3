"""The keeper: an actor of a Ray cluster that outlives whoever has started it. It keeps packages, and runs.

1. There is one in a cluster, on its head node, detached. It is asked by drivers and by workers, by its name.
2. It knows nothing of what it keeps: bytes by their digest, and tasks that it was given to start. So drivers of any version of
   delivery use the same one; its name says which version of this protocol it speaks.
3. A task that it has started is its own, and goes on when the driver leaves.
4. What a driver has put into the object store goes with that driver. So the keeper puts it there itself as well: at once if it
   is small, and when a run begins if it is big, since that is one copy more.
5. What is big can be pledged: a driver puts it there when a worker asks for it. Nodes with the driver's disk never do.

This file is sent to the cluster by value (`register_pickle_by_value`), where nothing of ours is installed: the standard library and
Ray alone, and no relative import.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

__all__ = ["KEEPER", "NAMESPACE", "Buffer", "Keeper"]

KEEPER = "tg-keeper-1"
NAMESPACE = "tg"

_SMALL_BYTES = 16 * 1024 * 1024
_KEPT_BYTES = 2 * 1024 * 1024 * 1024
_IN_USE_SECONDS = 600.0
_ENDED_RUNS = 1000
_GRACE_SECONDS = 5.0
_PLEDGE_SECONDS = 300.0


class Buffer:
    """Bytes on their way into the object store; what comes out is a buffer that lies in its shared memory, not a copy."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, tuple[Any]]:
        return pickle.PickleBuffer, (pickle.PickleBuffer(self.data),)


@dataclass
class _Held:
    """Bytes in the object store. `driver` is the job that owns them, or has pledged them; nothing once the keeper does."""

    size: int
    driver: str
    reference: Any = None
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    here: asyncio.Event = field(default_factory=asyncio.Event)
    used_at: float = field(default_factory=time.monotonic)


@dataclass
class _Task:
    """A task of a run; `said` is what it has said so far."""

    reference: Any
    said: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Run:
    """A run that was started. `facts` are those that the driver has given, for who comes back to it."""

    facts: bytes
    tasks: list[_Task]
    is_cancelled: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether all of it has."""
        return all(task.ended.is_set() for task in self.tasks)


class Keeper:
    """See above. Everything is a coroutine of one thread; what takes long is done in others."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._background: set[Any] = set()

    async def lacks(self, digests: list[str], driver: str) -> list[str]:
        """Which of these bytes are not here, or do not stay as long as this driver does."""
        here = {digest for digest in digests if digest in self._held and self._held[digest].driver in ("", driver)}
        for digest in here:
            self._used(digest)
        return [digest for digest in digests if digest not in here]

    async def hold(self, digest: str, references: list[Any], size: int, driver: str) -> None:
        """Hold the bytes that a driver has put into the object store."""
        held = self._held.setdefault(digest, _Held(size, driver))
        held.reference, held.driver = references[0], driver
        held.here.set()
        self._used(digest)
        if size <= _SMALL_BYTES:
            await self._take_over(digest)

    async def pledge(self, digest: str, size: int, driver: str) -> None:
        """Know that a driver puts these bytes into the object store when it hears that they are `wanted`."""
        held = self._held.get(digest)
        if held is None or held.here.is_set():
            self._held[digest] = _Held(size, driver)
        else:  # another driver has pledged it, and a worker may wait for it already: whoever brings it first, that one gets it
            held.driver = driver

    async def wanted(self, digest: str) -> None:
        """Wait until a worker asks for bytes that are pledged."""
        held = self._held.get(digest)
        if held is not None:
            await held.wanted.wait()

    async def held(self, digest: str) -> list[Any]:
        """A reference to these bytes, in a list, which is empty when they are not here, and do not come in some minutes."""
        held = self._held.get(digest)
        if held is None:
            return []
        held.wanted.set()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(held.here.wait(), _PLEDGE_SECONDS)
        if not held.here.is_set():
            return []
        self._used(digest)
        return [held.reference]

    async def start(
        self, run_id: str, seal: str, facts: bytes, task: Any, options: dict[str, Any], calls: list[tuple[Any, ...]]
    ) -> None:
        """Start tasks as a run, unless there is one of this id; return when the driver may leave."""
        if run_id in self._runs:
            return
        tasks = [_Task(task.options(**options).remote(*arguments)) for arguments in calls]
        self._runs[run_id] = _Run(facts, tasks)
        for one in tasks:
            self._in_background(self._watch(one))
        self._forget_old()
        await self._take_over(seal)

    async def run(self, run_id: str) -> tuple[bytes, int, bool] | None:
        """The facts of a run, how many tasks it has, and whether it was cancelled; nothing where there is none of this id."""
        run = self._runs.get(run_id)
        return None if run is None else (run.facts, len(run.tasks), run.is_cancelled)

    async def runs(self) -> list[str]:
        """The ids of all runs that are kept."""
        return list(self._runs)

    async def ended(self, run_id: str, index: int) -> list[Any]:
        """Wait for the end of a task. A reference to what came of it, in a list, which is empty when the run was forgotten."""
        run = self._runs.get(run_id)
        if run is None:
            return []
        await run.tasks[index].ended.wait()
        return [run.tasks[index].reference]

    async def tell(self, run_id: str, index: int, position: int, text: str) -> None:
        """Take in what a task says. One that is run again after its worker ended says it again, from the beginning."""
        run = self._runs.get(run_id)
        if run is not None:
            task = run.tasks[index]
            task.said = task.said[:position] + text

    async def said(self, run_id: str, index: int, position: int) -> str:
        """What a task has said from a position on; nothing when it has ended, since its answer has all of it."""
        run = self._runs.get(run_id)
        return "" if run is None else run.tasks[index].said[position:]

    async def cancel(self, run_id: str) -> None:
        """Ask the tasks of a run to stop, and make them a few seconds later."""
        run = self._runs.get(run_id)
        if run is not None and not run.is_cancelled:
            run.is_cancelled = True
            for task in run.tasks:
                self._in_background(self._stop(task))

    async def forget(self, run_id: str) -> None:
        """Keep nothing of a run any more."""
        self._runs.pop(run_id, None)

    async def _stop(self, task: _Task) -> None:
        import ray

        if task.ended.is_set():
            return
        ray.cancel(task.reference)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(task.ended.wait(), _GRACE_SECONDS)
        if not task.ended.is_set():
            ray.cancel(task.reference, force=True)

    async def _watch(self, task: _Task) -> None:
        with suppress(Exception):  # whoever asks for its answer gets what was raised
            await task.reference
        task.ended.set()
        task.said = ""

    def _forget_old(self) -> None:
        """Of the many runs that have ended and that nobody has asked for, the first are forgotten."""
        for run_id in [run_id for run_id, run in self._runs.items() if run.has_ended][:-_ENDED_RUNS]:
            del self._runs[run_id]

    async def _take_over(self, digest: str) -> None:
        """Put bytes of a driver into the object store as the keeper's own."""
        held = self._held.get(digest)
        if held is not None and held.driver and held.here.is_set():
            held.reference = await asyncio.to_thread(_put_again, held.reference)
            held.driver = ""

    def _used(self, digest: str) -> None:
        """What was not used for the longest time goes, once there is too much; never what was used just now."""
        now = time.monotonic()
        self._held[digest].used_at = now
        self._held.move_to_end(digest)
        size = sum(held.size for held in self._held.values())
        for old, held in list(self._held.items()):
            if size <= _KEPT_BYTES or now - held.used_at < _IN_USE_SECONDS:
                break
            size -= held.size
            del self._held[old]

    def _in_background(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._background.add(task)  # the loop itself keeps no reference
        task.add_done_callback(self._background.discard)


def _put_again(reference: Any) -> Any:
    import ray

    return ray.put(Buffer(ray.get(reference)))
