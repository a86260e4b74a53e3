"""A map on a cluster: one result for each item, in order, however often workers end meanwhile."""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..runtime.card import card
from ..runtime.errors import ItemFailed, JobFailed, RunCancelled
from ..runtime.kinds import of_kind
from .answer import Answer
from .batches import Batch, Batches
from .cluster_run import RunFacts
from .engine import Engine, TaskLost, Ticket
from .progress_bar import ProgressBar
from .run_log import RunLog

if TYPE_CHECKING:
    from ..runtime.kinds import Kind

__all__ = ["MapRun", "Outcome"]

_FEWEST, _MOST = 8, 48
"""Batches that are submitted, for each task that the cluster runs at a time, so that it never waits for us: as many as keep it at work
for a quarter of a second, within these bounds; and fewer, but two, where those would have more than 32 MiB together."""

_AHEAD_SECONDS = 0.25
_AHEAD_BYTES = 32 * 1024 * 1024

_OUTSTANDING = 3
"""The same with those that are done and whose results nobody has taken: so many times as many."""

_LOOK_EVERY = 64
_LOOK_SECONDS = 0.005
"""After so many results that were taken it is looked what has come back meanwhile, unless it was so short ago."""


@dataclass(frozen=True)
class Outcome:
    """What came of an item: its result, in classes of the local `tg`, or the error; and what was logged for it."""

    index: int
    value: Any = None
    error: ItemFailed | None = None
    log: str = ""

    def result(self) -> Any:
        """The result. Raises `ItemFailed`."""
        if self.error is not None:
            raise self.error
        return self.value


class _Told(NamedTuple):
    """What came of an item of which there is more to say than its result."""

    outcome: Outcome


class MapRun:
    """The job of a package at work on many items. Results come in the order of the items, each once.

    It goes forward while its results are taken: then items are taken, at most some hundred batches ahead. `wait` and `result`
    take all. A context manager, and an iterable of results; leaving it, or `cancel`, ends what is under way. One that was
    detached is wholly on the cluster, and goes on until it is cancelled; what came of it is kept there until all was taken.
    """

    def __init__(
        self,
        engine: Engine,
        facts: RunFacts,
        batches: Batches,
        *,
        total: int | None = None,
        under_way: Mapping[Ticket, Batch] | None = None,
        cancelled: bool = False,
        progress: bool | None = None,
    ) -> None:
        """`total` is the number of items, where it is known; `under_way`: what was submitted already, of a detached one."""
        self.id = facts.order.run_id
        self.failures: dict[int, ItemFailed] = {}
        """The errors of the items that failed, by index, up to a few items beyond those whose outcomes were taken."""
        self._engine = engine
        self._order = facts.order
        self._reader = facts.reader()
        self._batches = batches
        self._is_detached = under_way is not None
        self._under_way = dict(under_way or {})
        self._ready: dict[int, Any] = {}
        """By index, the result of an item; a `_Told` where there is more to say of it. It may be a million of them."""
        self._next: deque[Any] = deque()
        """The same of those that are given next, in order."""
        self._again: list[Batch] = []
        self._suspects: list[Batch] = []
        """Items that were lost, each to be tried once more when nothing else is under way: another may have been the reason."""
        self._alone: Batch | None = None
        self._ordered = 0
        """How many have been put in order: given, or among those that are next."""
        self._ahead = _FEWEST
        self._looked_at = time.monotonic()
        self._broken_by: BaseException | None = None
        self._state: Literal["running", "succeeded", "failed", "cancelled"] = "cancelled" if cancelled else "running"
        self._log = RunLog()
        self._progress = ProgressBar(f"{self.id} on {engine.name}", total, shown=progress)
        self._fill()

    @property
    def _given(self) -> int:
        return self._ordered - len(self._next)

    def __repr__(self) -> str:
        return f"<MapRun {self.id}: {self.state}, {self._given} results given>"

    def _repr_html_(self) -> str:
        facts = [
            ("runs", self._order.module_name),
            ("on", self._engine.name),
            ("results given", self._given),
            ("items that failed", len(self.failures) or None),
        ]
        return card("MapRun", self.id, facts, state=self._state)

    def __enter__(self) -> MapRun:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._is_detached:
            self.cancel()
        self._progress.close()

    def __iter__(self) -> Iterator[Any]:
        return self.results()

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed` or `cancelled`; it is running until all results were taken."""
        return self._state

    @property
    def exit_code(self) -> int | None:
        """0 when all items have a result, 1 when some have none, 143 when it was cancelled; `None` while it runs."""
        return {"running": None, "succeeded": 0, "failed": 1, "cancelled": 143}[self._state]

    def outcomes(self) -> Iterator[Outcome]:
        """What came of each item, in order, failures among the others; from the first on whose outcome was not yet taken.

        Raises `JobFailed` when the job cannot be loaded, and what is wrong with all of it: `DependencyProblem`,
        `UntrustedPackage`, `ClusterProblem`, `RunCancelled`.
        """
        while self._next or self._order_more():
            index, one = self._given, self._next.popleft()
            yield one.outcome if type(one) is _Told else Outcome(index, one)

    def results(self) -> Iterator[Any]:
        """The results in order. Raises `ItemFailed` when it comes to an item that failed, and else what `outcomes` raises.

        Going on with `results()` or `outcomes()` afterwards gives those of the items that follow.
        """
        while self._next or self._order_more():
            one = self._next.popleft()
            yield one.outcome.result() if type(one) is _Told else one

    def result(self, kind: type[Kind] | None = None) -> Kind:
        """All results, as a list. Raises `ItemFailed` for the first that failed, when all others have come."""
        self.wait()
        ended = list(self._next)
        self._next.clear()
        results = [one.outcome.result() if type(one) is _Told else one for one in ended]
        return of_kind(results, kind, f"the result of {self._order.module_name}")

    def wait(self) -> int:
        """Wait for the end, and return 0, or 1 when items failed. The outcomes are kept in memory."""
        while self._order_more():
            pass
        return int(self._state != "succeeded")

    def logs(self) -> Iterator[str]:
        """The lines of all tasks whose results have come so far, task by task."""
        return self._log.lines()

    def cancel(self) -> None:
        """End it: what waits on the cluster is dropped, what runs is asked to stop. Does nothing to one that has ended."""
        if self._state == "running":
            self._end("cancelled")

    def _order_more(self) -> bool:
        """Wait until there is one to be given next, and put it there with some that follow it. False when there are no more.

        What is raised ends the run.
        """
        if self._state == "cancelled":
            raise RunCancelled(f"the run {self.id} was cancelled.", run_id=self.id, exit_code=None)
        if self._broken_by is not None:  # what was under way then is lost, so there is a gap
            raise self._broken_by
        try:
            if self._under_way and time.monotonic() - self._looked_at > _LOOK_SECONDS:
                self._take_in(0)  # whoever takes the results may be slow
                self._fill()
            while self._ordered not in self._ready:
                self._fill()
                if self._ordered in self._ready:  # an item that cannot be sent
                    break
                if not self._under_way and self._suspects:
                    self._submit([suspect := self._suspects.pop()])
                    self._alone = suspect
                if not self._under_way:
                    self._has_come_to_its_end()
                    return False
                self._take_in(None)
        except BaseException as error:
            if self._state == "running":
                self._broken_by = error
                self._end("failed" if isinstance(error, Exception) else "cancelled")
            raise
        for index in range(self._ordered, self._ordered + _LOOK_EVERY):
            if index not in self._ready:
                break
            one = self._ready.pop(index)
            self._next.append(one)
            self._ordered += 1
            if type(one) is _Told and one.outcome.error is not None:
                self.failures[index] = one.outcome.error
        return True

    def _has_come_to_its_end(self) -> None:
        if self._state == "running":
            self._end("failed" if self.failures else "succeeded")
            if self._is_detached:
                self._engine.forget(self.id)

    def _fill(self) -> None:
        """Submit as many batches as there is room for."""
        if self._alone is not None or (self._batches.is_exhausted and not self._again):
            return
        room = self._engine.slots() * self._ahead
        new, self._again = self._again, []
        while (
            len(self._under_way) + len(new) < room
            and self._batches.taken - self._ordered < _OUTSTANDING * room * self._batches.size
        ):
            batch = self._batches.next()
            if batch is None:
                break
            new.append(batch)
        self._submit(new)

    def _submit(self, batches: list[Batch]) -> None:
        for index, failure in self._batches.unsent.items():
            self._fail(index, failure, "cannot be sent: it")
        self._batches.unsent.clear()
        for divisible in (False, True):
            these = [one for one in batches if (len(one.indices) > 1) is divisible]
            if these:
                tickets = self._engine.submit(self._order, [one.data for one in these], divisible=divisible)
                self._under_way.update(zip(tickets, these, strict=True))

    def _take_in(self, timeout_seconds: float | None) -> None:
        """Wait for batches to come back, and take them in."""
        came_back = self._engine.wait(self._under_way, timeout_seconds)
        self._looked_at = time.monotonic()
        for ticket, came in came_back.items():
            batch = self._under_way.pop(ticket)
            was_alone, self._alone = self._alone is batch, None
            if isinstance(came, TaskLost) and len(batch.items) == 1 and not (was_alone or came.is_certain):
                self._suspects.append(batch)
            elif isinstance(came, TaskLost):
                said = f"workers ended while they had it ({came})"
                self._divide(batch, {"type": "WorkerEnded", "message": said, "traceback": ""})
            else:
                self._take_answer(batch, Answer.of_bytes(came))

    def _take_answer(self, batch: Batch, answer: Answer) -> None:
        error = answer.error()
        if error is not None:
            raise error
        if answer.given_up:
            self._end("cancelled")
            raise RunCancelled(f"the run {self.id} was cancelled.", run_id=self.id, exit_code=None)
        if answer.unloadable is not None:
            failure = answer.unloadable
            raise JobFailed(
                f"the job of {self._order.module_name} cannot be loaded on {answer.worker}: it raised {failure['type']}: "
                f"{failure['message']}\n\n{failure['traceback']}",
                run_id=self.id,
                exit_code=1,
                error_type=failure["type"],
                traceback=failure["traceback"],
            )
        if answer.undone is not None:
            self._divide(batch, answer.undone)
            return
        self._batches.took(batch, answer.seconds)
        by_bytes = _AHEAD_BYTES // max(1, len(batch.data) + len(answer.results))
        by_time = int(_AHEAD_SECONDS / max(answer.seconds, 1e-6))
        self._ahead = max(2, min(by_bytes, max(_FEWEST, min(_MOST, by_time))))
        results = self._reader.read(io.BytesIO(answer.results))
        if not answer.failures and not answer.logs:
            self._ready.update(zip(batch.indices, results, strict=True))
        else:
            self._tell(batch, answer, iter(results))
        self._progress.advance(len(batch.indices))

    def _tell(self, batch: Batch, answer: Answer, results: Iterator[Any]) -> None:
        logs: dict[int, str] = {}
        for place, text in answer.logs:
            logs[place] = logs.get(place, "") + text
            self._log.add(text)
        for place, index in enumerate(batch.indices):
            log = logs.get(place, "")
            if place in answer.failures:
                self._fail(index, answer.failures[place], "raised", log)
            else:
                self._ready[index] = _Told(Outcome(index, next(results), log=log))

    def _fail(self, index: int, failure: Mapping[str, str], verb: str, log: str = "") -> None:
        self._ready[index] = _Told(Outcome(index, error=self._item_failed(index, failure, verb), log=log))

    def _divide(self, batch: Batch, failure: Mapping[str, str]) -> None:
        """A batch of which nothing came is divided, until the item that is the reason is alone."""
        if len(batch.items) > 1:
            self._again += batch.divided()
            return
        for index in batch.indices:  # one, unless the items are with somebody else
            self._fail(index, failure, "failed:")

    def _item_failed(self, index: int, failure: Mapping[str, str], verb: str) -> ItemFailed:
        said = f"\n\n{failure['traceback']}" if failure["traceback"] else ""
        return ItemFailed(
            f"item {index} of the run {self.id} of {self._order.module_name} {verb} {failure['type']}: {failure['message']}{said}",
            index=index,
            run_id=self.id,
            error_type=failure["type"],
            traceback=failure["traceback"],
        )

    def _end(self, state: Literal["succeeded", "failed", "cancelled"]) -> None:
        self._state = state
        self._progress.close()
        under_way, self._under_way = list(self._under_way), {}
        if under_way:
            self._engine.cancel(self.id, under_way)
