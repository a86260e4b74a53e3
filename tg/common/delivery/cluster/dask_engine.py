"""Dask as an engine: what a scheduler and its workers have to offer."""

from __future__ import annotations

import queue
import time
from collections.abc import Collection, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from ..runtime.errors import ClusterProblem
from . import bootstrap
from .dask_node import CHUNK_BYTES
from .delivery_archive import DeliveryArchive
from .engine import TaskLost, Ticket
from .order import Order
from .parcel import Parcel
from .remote import Remote

__all__ = ["DaskEngine"]

_SLOTS_SECONDS = 1.0


class DaskEngine:
    """A client of a scheduler. Delivery is brought to the scheduler and to its workers, also to those that join later, when it is made."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._archive = DeliveryArchive.of_this_process()
        self._digest = self._archive.digest
        self._task = Remote(self._digest, "dask_node", "task")
        self._numbers = count()
        self._futures: dict[str, Any] = {}
        self._ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ended_early: set[str] = set()
        self._asked: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        self._slots = (0.0, 1)
        self._spread: set[str] = set()
        self._bring_delivery()

    @property
    def name(self) -> str:
        """The scheduler's address."""
        return f"dask at {self.client.scheduler.address}"

    def spread(self, parcel: Parcel) -> None:
        """The scheduler keeps the file; each node fetches it from there when it has the first task of it."""
        if parcel.seal in self._spread:
            return
        keep = Remote(self._digest, "dask_node", "keep")
        if not self.client.run_on_scheduler(keep, parcel.seal, 0, b"", parcel.size):
            offset, complete = 0, False
            with parcel.file.open("rb") as file:
                while data := file.read(CHUNK_BYTES):
                    complete = self.client.run_on_scheduler(keep, parcel.seal, offset, data, parcel.size)
                    offset += len(data)
            if not complete:
                raise ClusterProblem(
                    f"{parcel.file} has changed while it was brought to {self.name}.", cluster=self.name
                )
        self._spread.add(parcel.seal)

    def slots(self) -> int:
        """The threads of all workers."""
        asked_at, slots = self._slots
        now = time.monotonic()
        if now - asked_at > _SLOTS_SECONDS or not asked_at:
            slots = max(1, sum(self.client.nthreads().values()))
            self._slots = now, slots
        return slots

    def lacking(self, order: Order, parcel: Parcel) -> dict[str, list[str]]:
        """Each worker is asked once for the same requirements."""
        requirements = tuple(parcel.facts.requirements())
        workers = list(self.client.nthreads())
        new = [one for one in workers if (one, requirements) not in self._asked]
        if new:
            ask = Remote(self._digest, "dask_node", "lacking")
            said = self.client.run(ask, list(requirements), order.module_name, workers=new)
            self._asked.update({(one, requirements): problems for one, problems in said.items() if not problems})
            return {one: problems for one, problems in said.items() if problems}
        return {}

    def submit(self, order: Order, batches: Sequence[bytes], label: str) -> list[Ticket]:
        """Tasks with keys that no other task ever had: nothing is taken from an earlier run, whatever it was called with."""
        data = order.to_bytes()
        keys = [f"{label}-{next(self._numbers)}" for _ in batches]
        futures = self.client.map(self._task, [data] * len(batches), list(batches), key=keys, pure=False)
        for key, future in zip(keys, futures, strict=True):
            self._futures[key] = future
            future.add_done_callback(lambda ended, key=key: self._ended.put(key))
        return list(keys)

    def wait(self, tickets: Collection[Ticket], timeout_seconds: float | None = None) -> dict[Ticket, bytes | TaskLost]:
        """What has ended meanwhile is gathered in one."""
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            ended = [one for one in self._ended_early if one in tickets]
            if ended or not tickets:
                break
            try:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                self._ended_early.add(self._ended.get(timeout=left) if left != 0 else self._ended.get_nowait())
            except queue.Empty:
                return {}
            while not self._ended.empty():
                self._ended_early.add(self._ended.get())
        self._ended_early.difference_update(ended)
        return self._gathered(ended)

    def cancel(self, tickets: Collection[Ticket]) -> None:
        """What waits is dropped; what runs is asked to stop, by its worker."""
        futures = [self._futures.pop(str(ticket)) for ticket in tickets if ticket in self._futures]
        self._ended_early.difference_update(map(str, tickets))
        self.client.cancel(futures)

    def _gathered(self, keys: Sequence[str]) -> dict[Ticket, bytes | TaskLost]:
        futures = {key: self._futures.pop(key) for key in keys}
        came: dict[Ticket, bytes | TaskLost] = {}
        for key, future in futures.items():
            if future.status != "finished":
                came[key] = TaskLost(str(future.exception()) if future.status == "error" else future.status)
        good = [key for key in futures if key not in came]
        came.update(zip(good, self.client.gather([futures[key] for key in good]), strict=True))
        return came

    def _bring_delivery(self) -> None:
        text, digest, archive = Path(bootstrap.__file__).read_text("utf-8"), self._digest, self._archive.data
        plugin_name = f"tg-delivery-{digest[:16]}"
        from distributed.diagnostics.plugin import WorkerPlugin

        def has_it(dask_scheduler: Any = None) -> bool:
            return plugin_name in dask_scheduler.worker_plugins

        def bring(data: bytes) -> None:
            namespace: dict[str, Any] = {"__name__": "tg_cluster_bootstrap"}
            exec(text, namespace)
            namespace["node_module"](digest, lambda: data)

        class Delivery(WorkerPlugin):  # type: ignore[misc]
            """Local to this function, and so sent by value: workers need not know it."""

            idempotent = True
            name = plugin_name

            def setup(self, worker: Any) -> None:
                namespace: dict[str, Any] = {"__name__": "tg_cluster_bootstrap"}
                exec(text, namespace)
                namespace["node_module"](digest, lambda: archive)

        if not self.client.run_on_scheduler(has_it):
            self.client.run_on_scheduler(bring, archive)
            self.client.register_plugin(Delivery())
