"""The engine: what runs tasks on a cluster. The protocol that Dask and Ray have an implementation of each, and others can have."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Protocol

from .order import Order
from .parcel import Parcel

__all__ = ["Engine", "TaskLost", "Ticket"]

Ticket = Hashable
"""What an engine knows a task by that it was given."""


class TaskLost(Exception):
    """The engine has given a task up: the workers that had it ended, again and again. The text is the engine's."""


class Engine(Protocol):
    """What a cluster has to offer. Used by one thread at a time."""

    @property
    def name(self) -> str:
        """What the engine is called, in messages."""
        ...

    def spread(self, parcel: Parcel) -> None:
        """Bring the bytes of a package into the cluster, unless they are there; workers fetch them from there."""
        ...

    def slots(self) -> int:
        """How many tasks it runs at a time at the moment, 1 at least."""
        ...

    def lacking(self, order: Order, parcel: Parcel) -> dict[str, list[str]]:
        """What the package requires and workers have not, by the name of the worker; nothing where all is there."""
        ...

    def submit(self, order: Order, batches: Sequence[bytes], label: str) -> list[Ticket]:
        """Have `node.work` run for each of these, in this order if it can. `label` is what the engine shows the tasks as."""
        ...

    def wait(self, tickets: Collection[Ticket], timeout_seconds: float | None = None) -> dict[Ticket, bytes | TaskLost]:
        """Those of some tasks that have ended, and what came of each; one at least, unless the time is over first.

        Each is asked for until it was given, and then no more. `TaskLost` is given for one that the engine has given up.
        """
        ...

    def cancel(self, tickets: Collection[Ticket]) -> None:
        """End tasks; those that run are asked to stop."""
        ...
