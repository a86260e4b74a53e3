"""The executor of a cluster, whatever its engine: packages run once, or on many items."""

from __future__ import annotations

import pickle
import secrets
from collections.abc import Iterable, Sequence, Sized
from contextlib import suppress
from itertools import accumulate
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from ..runtime.errors import DependencyProblem, RunNotFound, UndeliverablePayload
from ..runtime.roots import local_prefix
from .batches import Batch, Batches
from .cluster_run import ClusterRun, RunFacts
from .engine import Engine, Ticket
from .map_run import MapRun
from .order import RUN_ID, Order
from .parcel import Parcel

if TYPE_CHECKING:
    from ..delivery.packaging import Packaging
    from ..trust.policy import Policy

__all__ = ["ClusterExecutor"]

_TASKS_EACH = 16
"""Tasks of a detached map for each that the cluster runs at a time: one that is lost costs little, and none waits for long."""


class ClusterExecutor:
    """Runs packages on a cluster that is there already.

    - `environment`: `workers`, where what the package requires must be installed on the workers, which is looked at before anything
      runs; or `isolated`, where each gets an environment of its own there, made by uv of its lock.
    - `policy`: which packages are trusted here; the machine's by default. A node that has a policy of its own judges again.
    - `progress`: whether maps draw theirs; where the standard error is a terminal by default.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        environment: Literal["workers", "isolated"] = "workers",
        policy: Policy | None = None,
        progress: bool | None = None,
    ) -> None:
        if environment not in ("workers", "isolated"):
            raise ValueError(f"environment={environment!r}: it is 'workers' or 'isolated'.")
        self.engine = engine
        self.environment = environment
        self.policy = policy
        self.progress = progress

    def start(self, package: Packaging | str | PathLike[str]) -> ClusterRun:
        """Run the job of a package on one of the workers, and return at once.

        Raises what `Parcel.of` raises, and `DependencyProblem` when workers lack what it requires.
        """
        parcel = Parcel.of(package, policy=self.policy)
        order = self._order(parcel, "")
        self._prepare(parcel, order)
        facts = RunFacts.of(order, parcel)
        tickets = self.engine.submit(order, [pickle.dumps([], protocol=5)], kept=facts.to_json())
        return ClusterRun(self.engine, facts, tickets)

    def map(
        self,
        package: Packaging | str | PathLike[str],
        items: Iterable[Any],
        *,
        method: str = "run",
        batch_size: int | None = None,
        detached: bool = False,
    ) -> MapRun:
        """Call a method of the job with each item, on all workers.

        Items can be any number, of plain values and of classes that the package has too; they are taken as the work goes on.
        The job is loaded once in each thread of a worker, and kept. `batch_size` items make a task; as many as take a tenth
        of a second where it is not given. With `detached`, all of it is brought to the cluster at once and goes on there when
        this process ends, for `find`. Raises as `start` does.
        """
        if not method:
            raise ValueError("method is empty. Name the method of the job that is called with each item.")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: a task has one item at least.")
        parcel = Parcel.of(package, policy=self.policy)
        order = self._order(parcel, method)
        self._prepare(parcel, order)
        total = len(items) if isinstance(items, Sized) else None
        if detached:
            return self._detached(parcel, order, list(items), batch_size)
        batches = Batches(items, batch_size)
        return MapRun(self.engine, RunFacts.of(order, parcel), batches, total=total, progress=self.progress)

    def find(self, run_id: str) -> ClusterRun | MapRun:
        """A run that was started before, from whatever process: a job, or a map that was detached. Raises `RunNotFound`."""
        kept = self.engine.kept(run_id) if RUN_ID.fullmatch(run_id) else None
        if kept is None:
            raise RunNotFound(
                f"{self.engine.name} keeps no run {run_id!r}. What came of a run is kept until it was taken; runs() lists what is there."
            )
        facts = RunFacts.of_json(kept.facts)
        if not facts.sizes:
            return ClusterRun(self.engine, facts, kept.tickets, cancelled=kept.cancelled)
        ends = list(accumulate(facts.sizes))
        batches = [Batch(range(end - size, end)) for end, size in zip(ends, facts.sizes, strict=True)]
        return self._of_detached(facts, kept.tickets, batches if kept.tickets else [], cancelled=kept.cancelled)

    def runs(self) -> list[ClusterRun | MapRun]:
        """All runs that the cluster keeps, from whatever process."""
        found: list[ClusterRun | MapRun] = []
        for run_id in self.engine.kept_runs():
            with suppress(RunNotFound):  # somebody has taken its result meanwhile
                found.append(self.find(run_id))
        return found

    def remove(self, run_id: str) -> None:
        """Take a run away: end it, and keep nothing of it. Raises `RunNotFound`."""
        self.find(run_id).cancel()
        self.engine.forget(run_id)

    def _detached(self, parcel: Parcel, order: Order, items: list[Any], size: int | None) -> MapRun:
        if not items:
            raise ValueError("there are no items, and so nothing to detach.")
        source = Batches(items, size or -(-len(items) // (_TASKS_EACH * self.engine.slots())))
        batches = []
        while batch := source.next():
            batches.append(batch)
        if source.unsent:
            problems = [f"item {index} cannot be sent: {one['message']}" for index, one in source.unsent.items()]
            raise UndeliverablePayload("items", problems)
        facts = RunFacts.of(order, parcel, [len(one.indices) for one in batches])
        tickets = self.engine.submit(order, [one.data for one in batches], kept=facts.to_json())
        return self._of_detached(facts, tickets, batches)

    def _of_detached(
        self, facts: RunFacts, tickets: Sequence[Ticket], batches: Sequence[Batch], *, cancelled: bool = False
    ) -> MapRun:
        return MapRun(
            self.engine,
            facts,
            Batches((), 1),
            total=sum(facts.sizes),
            under_way=dict(zip(tickets, batches, strict=True)),
            cancelled=cancelled,
            progress=self.progress,
        )

    def _order(self, parcel: Parcel, method: str) -> Order:
        return Order(
            run_id=f"{parcel.facts.module_name}-{secrets.token_hex(4)}",
            seal=parcel.seal,
            module_name=parcel.facts.module_name,
            file=str(parcel.file),
            method=method,
            isolated=self.environment == "isolated",
            prefix=local_prefix(),
            roots=parcel.facts.roots,
        )

    def _prepare(self, parcel: Parcel, order: Order) -> None:
        """Bring the package into the cluster; look whether it can run there."""
        requirements = parcel.facts.requirements()
        if requirements and not order.isolated:
            lacking = self.engine.lacking(order, parcel)
            if lacking:
                said = [f"{worker}: {', '.join(problems)}" for worker, problems in sorted(lacking.items())]
                raise DependencyProblem(
                    f"{order.module_name} cannot run on {len(lacking)} of the workers of {self.engine.name}:\n"
                    + "\n".join(f"- {one}" for one in said)
                    + "\nInstall it there, or choose environment='isolated'.",
                    problems=said,
                )
        self.engine.spread(parcel)
