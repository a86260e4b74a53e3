"""An engine that a person could have written in an hour: tasks are threads of this process. What all engines do is tested with it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

from tg.common.delivery.cluster import node, task_output
from tg.common.delivery.cluster.engine import Kept, TaskLost, Ticket
from tg.common.delivery.cluster.order import Order
from tg.common.delivery.cluster.parcel import Parcel


class ThreadEngine:
    """`lose` says of the items of a task, as bytes, whether the engine gives it up: as if it ended its workers."""

    name = "threads"

    def __init__(self, threads: int = 2) -> None:
        self.submitted: list[bytes] = []
        self.fetched = 0
        self.lose: Any = lambda items: False
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._numbers = itertools.count()
        self._futures: dict[Ticket, Future[bytes]] = {}
        self._cancelled: set[str] = set()
        self._files: dict[str, bytes] = {}
        self._kept: dict[str, Kept] = {}

    def spread(self, parcel: Parcel) -> None:
        self._files[parcel.seal] = parcel.file.read_bytes()

    def slots(self) -> int:
        return self._threads

    def lacking(self, order: Order, parcel: Parcel) -> dict[str, list[str]]:
        problems = node.lacking(parcel.facts.requirements(), order.module_name)
        return {threading.current_thread().name: problems} if problems else {}

    def submit(
        self, order: Order, batches: Sequence[bytes], *, kept: Mapping[str, Any] | None = None, divisible: bool = False
    ) -> Sequence[Ticket]:
        tickets = [next(self._numbers) for _ in batches]
        for ticket, items in zip(tickets, batches, strict=True):
            self.submitted.append(items)
            self._futures[ticket] = self._pool.submit(self._work, order, items)
        if kept is not None:
            self._kept[order.run_id] = Kept(kept, tickets, False)
        return tickets

    def wait(self, tickets: Collection[Ticket], timeout_seconds: float | None = None) -> dict[Ticket, bytes | TaskLost]:
        mine = {self._futures[ticket]: ticket for ticket in tickets}
        came: dict[Ticket, bytes | TaskLost] = {}
        for future in wait(mine, timeout_seconds, FIRST_COMPLETED).done:
            try:
                came[mine[future]] = future.result()
            except TaskLost as error:
                came[mine[future]] = error
        return came

    def said(self, run_id: str, ticket: Ticket, position: int) -> str:
        return task_output.said(run_id, position)

    def cancel(self, run_id: str, tickets: Collection[Ticket]) -> None:
        self._cancelled.add(run_id)
        for ticket in tickets:
            self._futures[ticket].cancel()
        if run_id in self._kept:
            self._kept[run_id] = Kept(self._kept[run_id].facts, [], True)

    def kept(self, run_id: str) -> Kept | None:
        return self._kept.get(run_id)

    def kept_runs(self) -> Sequence[str]:
        return list(self._kept)

    def forget(self, run_id: str) -> None:
        self._kept.pop(run_id, None)

    def close(self) -> None:
        self._pool.shutdown()

    def _work(self, order: Order, items: bytes) -> bytes:
        if self.lose(items):
            raise TaskLost("its worker ended four times")

        def fetch() -> list[bytes]:
            self.fetched += 1
            return [self._files[order.seal]]

        elsewhere = replace(order, file="")  # where the driver's files are not
        return node.work(elsewhere.to_bytes(), items, fetch=fetch, wanted=lambda: order.run_id not in self._cancelled)
