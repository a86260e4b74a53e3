"""The engine: what runs tasks on a cluster. The protocol that Dask and Ray have an implementation of each, and others can have."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .order import Order
from .parcel import Parcel

__all__ = ["Engine", "Kept", "TaskLost", "Ticket"]

Ticket = Hashable
"""What an engine knows a task by that it was given."""


class TaskLost(Exception):
    """The engine has given a task up: the workers that had it ended, again and again. The text is the engine's.

    `is_certain`: that it was this task, and no other that the same workers had at the time.
    """

    def __init__(self, text: str, *, is_certain: bool = False) -> None:
        super().__init__(text)
        self.is_certain = is_certain


class Kept(NamedTuple):
    """What a cluster keeps of a run: its facts as they were given, and its tickets; `cancelled` says that it was."""

    facts: Mapping[str, Any]
    tickets: Sequence[Ticket]
    cancelled: bool


class Engine(Protocol):
    """What a cluster has to offer. Any number of runs use it, in threads of their own, each with its own tickets."""

    @property
    def name(self) -> str:
        """What the engine is called, in messages: `dask at tcp://…`."""
        ...

    def spread(self, parcel: Parcel) -> None:
        """Bring the bytes of a package into the cluster, unless they are there; nodes fetch them from there."""
        ...

    def slots(self) -> int:
        """How many tasks it runs at a time at the moment, 1 at least."""
        ...

    def lacking(self, order: Order, parcel: Parcel) -> dict[str, list[str]]:
        """What the package requires and workers have not, by the name of the worker; nothing where all is there."""
        ...

    def submit(
        self, order: Order, batches: Sequence[bytes], *, kept: Mapping[str, Any] | None = None, divisible: bool = False
    ) -> Sequence[Ticket]:
        """Have `node.work` run for each of these, in this order if it can. The run's id is what the engine shows the tasks as.

        With `kept`, facts that JSON has, the tasks and what comes of them are kept by the cluster when this process ends, and
        found by the id of the run; it is said once for a run. What is `divisible` comes again in halves when it is given up, so
        an engine to which a lost worker is dear gives it up at once.
        """
        ...

    def wait(self, tickets: Collection[Ticket], timeout_seconds: float | None = None) -> dict[Ticket, bytes | TaskLost]:
        """Those of some tasks that have ended, and what came of each; one at least, unless the time is over first.

        Each is asked for until it was given, and then no more. `TaskLost` is given for one that the engine has given up.
        Raises `ClusterProblem` when the cluster is gone.
        """
        ...

    def said(self, run_id: str, ticket: Ticket, position: int) -> str:
        """What a task of a run has printed and logged so far, from a position on, in characters."""
        ...

    def cancel(self, run_id: str, tickets: Collection[Ticket]) -> None:
        """End tasks; those that run are asked to stop. If the run is kept, that it was cancelled is kept as well."""
        ...

    def kept(self, run_id: str) -> Kept | None:
        """What is kept of a run."""
        ...

    def kept_runs(self) -> Sequence[str]:
        """The ids of all runs that something is kept of."""
        ...

    def forget(self, run_id: str) -> None:
        """Keep nothing of a run any more."""
        ...
