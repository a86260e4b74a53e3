"""Dask as an engine: what a scheduler and its workers have to offer."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from ...progress import working
from ..runtime.errors import ClusterProblem
from . import bootstrap
from .dask_node import CHUNK_BYTES
from .delivery_archive import DeliveryArchive
from .engine import Kept, TaskLost, Ticket
from .order import RUN_ID, Order
from .parcel import Parcel
from .remote import Remote

__all__ = ["DaskEngine"]

_SLOTS_SECONDS = 1.0
_LOST_SECONDS = 0.1
"""A callback for one that is lost would be called at once: so it is looked at now and then until it is there again."""
_MANY = 16
_TOGETHER_SECONDS = 0.02
_GOING_ON_SECONDS = 0.1


class DaskEngine:
    """A client of a scheduler. Delivery is brought to the scheduler and to its workers, also to those that join later, when it is made."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._archive = DeliveryArchive.of_this_process()
        self._numbers = count()
        self._changed = threading.Condition()
        self._futures: dict[str, Any] = {}
        self._ended: set[str] = set()
        self._fit: set[tuple[str, tuple[str, ...]]] = set()
        self._slots = (0.0, 1)
        self._gathered_at = 0.0
        self._bring_delivery()

    @property
    def name(self) -> str:
        """The scheduler's address."""
        return f"dask at {self.client.scheduler.address}"

    def spread(self, parcel: Parcel) -> None:
        """The scheduler keeps the file; each node fetches it from there when it has the first task of it."""
        is_there, threads = self._on_scheduler("keep_file", parcel.seal, str(parcel.file))
        self._slots = time.monotonic(), max(1, threads)
        if is_there:
            return
        offset, complete = 0, False
        with (
            working(f"bringing {parcel.file.name} to {self.name}", parcel.size) as work,
            parcel.file.open("rb") as file,
        ):
            while data := file.read(CHUNK_BYTES):
                complete = self._on_scheduler("keep", parcel.seal, offset, data, parcel.size)
                if isinstance(complete, str):
                    raise self._problem(f"{self.name} cannot keep {parcel.file.name}: {complete}")
                offset += len(data)
                work.advance(len(data))
        if not complete:
            raise self._problem(f"{parcel.file} has changed while it was brought to {self.name}.")

    def slots(self) -> int:
        """The threads of all workers."""
        asked_at, slots = self._slots
        now = time.monotonic()
        if now - asked_at > _SLOTS_SECONDS or not asked_at:
            slots = max(1, sum(self._workers().values()))
            self._slots = now, slots
        return slots

    def lacking(self, order: Order, parcel: Parcel) -> dict[str, list[str]]:
        """Each worker is asked once for the same requirements, until it has all of them."""
        requirements = tuple(parcel.facts.requirements())
        new = [one for one in self._workers() if (one, requirements) not in self._fit]
        if not new:
            return {}
        with self._asked():
            answers = self.client.run(
                self._remote("lacking"), list(requirements), order.module_name, workers=new, on_error="return"
            )
        # One that has ended meanwhile is none of those that will run it.
        said = {worker: answer for worker, answer in answers.items() if isinstance(answer, list)}
        self._fit.update((worker, requirements) for worker, problems in said.items() if not problems)
        return {worker: problems for worker, problems in said.items() if problems}

    def submit(
        self, order: Order, batches: Sequence[bytes], *, kept: Mapping[str, Any] | None = None, divisible: bool = False
    ) -> Sequence[Ticket]:
        """Tasks with keys that no other task ever had: nothing is taken from an earlier run, whatever it was called with."""
        data = order.to_bytes()
        keys = [f"{order.run_id}-{next(self._numbers)}" for _ in batches]
        with self._asked():
            futures = self.client.map(self._remote("task"), [data] * len(batches), list(batches), key=keys, pure=False)
            if kept is not None:
                published = {"facts": dict(kept), "futures": futures, "cancelled": False}
                self.client.publish_dataset(published, name=order.run_id)
        return self._watch(futures)

    def wait(self, tickets: Collection[Ticket], timeout_seconds: float | None = None) -> dict[Ticket, bytes | TaskLost]:
        """What has ended meanwhile is gathered in one."""
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            came = self._gathered(self._ended_of(tickets, left))
            if came or not tickets or left == 0:
                return came

    def _ended_of(self, tickets: Collection[Ticket], timeout_seconds: float | None) -> dict[str, Any]:
        """The futures of those that have ended; one at least, unless the time is over first."""

        def ended() -> list[str]:
            return [key for key in self._ended if key in tickets]

        with self._changed:
            self._changed.wait_for(lambda: not tickets or bool(ended()), timeout_seconds)
            # What it costs to gather is much the same for one and for many. The first of a run is not kept waiting.
            is_going_on = time.monotonic() - self._gathered_at < _GOING_ON_SECONDS
            if timeout_seconds is None and len(tickets) >= _MANY and is_going_on:
                self._changed.wait_for(lambda: 4 * len(ended()) >= len(tickets), _TOGETHER_SECONDS)
            gathered = ended()
            self._ended.difference_update(gathered)
            self._gathered_at = time.monotonic() if gathered else self._gathered_at
            return {key: self._futures.pop(key) for key in gathered}

    def said(self, run_id: str, ticket: Ticket, position: int) -> str:
        """The worker that has the task is asked."""
        worker = self._on_scheduler("worker_of", ticket)
        if worker is None:
            return ""
        with self._asked():
            answers = self.client.run(self._remote("said"), run_id, position, workers=[worker], on_error="return")
        return answers[worker] if isinstance(answers.get(worker), str) else ""

    def cancel(self, run_id: str, tickets: Collection[Ticket]) -> None:
        """What waits is dropped; what runs is asked to stop, by its worker."""
        with self._changed:
            futures = [self._futures.pop(str(ticket)) for ticket in tickets if ticket in self._futures]
            self._ended.difference_update(map(str, tickets))
        with self._asked():
            found = self.client.get_dataset(run_id, default=None)
            if found is not None:
                published = {"facts": found["facts"], "futures": [], "cancelled": True}
                self.client.publish_dataset(published, name=run_id, override=True)
            self.client.cancel(futures, force=True)

    def kept(self, run_id: str) -> Kept | None:
        """It is a published dataset of the scheduler."""
        with self._asked():
            found = self.client.get_dataset(run_id, default=None)
        if found is None:
            return None
        return Kept(found["facts"], self._watch(found["futures"]), found["cancelled"])

    def kept_runs(self) -> Sequence[str]:
        """The names of the published datasets that are runs."""
        with self._asked():
            names = self.client.list_datasets()
        return [name for name in map(str, names) if RUN_ID.fullmatch(name)]

    def forget(self, run_id: str) -> None:
        """The scheduler lets go of its tasks."""
        with self._asked():
            self.client.unpublish_dataset(run_id)

    def _remote(self, function: str) -> Remote:
        return Remote(self._archive.digest, "dask_node", function)

    def _workers(self) -> dict[str, int]:
        """The addresses of all workers, and how many threads each has."""
        with self._asked():
            return dict(self.client.nthreads())

    def _on_scheduler(self, function: str, *arguments: Any) -> Any:
        with self._asked():
            try:
                return self.client.run_on_scheduler(self._remote(function), *arguments)
            except ModuleNotFoundError:  # the scheduler is another one, at the same address
                self._bring_delivery()
                return self.client.run_on_scheduler(self._remote(function), *arguments)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """What Dask raises when nobody answers, as what we raise then."""
        from distributed.client import ClosedClientError

        try:
            yield
        except (OSError, TimeoutError, CancelledError, ClosedClientError) as error:
            raise self._problem(f"{self.name} does not answer any more: {error}. Start the run again.") from error

    def _watch(self, futures: Sequence[Any]) -> list[str]:
        for future in futures:
            with self._changed:
                if future.key in self._futures:
                    continue
                self._futures[future.key] = future
            future.add_done_callback(self._has_ended)
        return [future.key for future in futures]

    def _look_again(self, future: Any) -> None:
        with self._changed:
            self._futures[future.key] = future
        looking = threading.Timer(_LOST_SECONDS, self._has_ended, [future])
        looking.daemon = True
        looking.start()

    def _has_ended(self, future: Any) -> None:
        with self._changed:
            if future.key in self._futures:
                self._ended.add(future.key)
                self._changed.notify_all()

    def _gathered(self, futures: dict[str, Any]) -> dict[Ticket, bytes | TaskLost]:
        came: dict[Ticket, bytes | TaskLost] = {}
        good: dict[str, Any] = {}
        for key, future in futures.items():
            if future.status == "error":
                came[key] = TaskLost(str(future.exception()))
            elif future.status == "lost":  # its result, with the worker that had it; Dask does it again by itself
                self._look_again(future)
            elif future.status == "cancelled":
                raise self._problem(
                    f"{self.name} has dropped what it was given, as when it was started anew, or the connection broke. Start the run again."
                )
            else:
                good[key] = future
        if not good:
            return came
        try:
            came.update(zip(good, self.client.gather(list(good.values())), strict=True))
        except Exception:  # noqa: BLE001 one of them was lost with its worker, done again, and given up then
            came.update((key, _result_of(future)) for key, future in good.items())
        return came

    def _problem(self, text: str) -> ClusterProblem:
        return ClusterProblem(text, cluster=self.client.scheduler.address)

    def _bring_delivery(self) -> None:
        text, digest, archive = Path(bootstrap.__file__).read_text("utf-8"), self._archive.digest, self._archive.data
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
                bring(archive)

        if not self.client.run_on_scheduler(has_it):
            self.client.run_on_scheduler(bring, archive)
            self.client.register_plugin(Delivery())


def _result_of(future: Any) -> bytes | TaskLost:
    try:
        result: bytes = future.result()
        return result
    except Exception as error:  # noqa: BLE001 whatever Dask says of a task that it has given up
        return TaskLost(str(error))
