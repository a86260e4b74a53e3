"""The executor of a cluster, whatever its engine: packages run once, or on many items."""

from __future__ import annotations

import pickle
import secrets
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from ..runtime.errors import DependencyProblem
from ..runtime.roots import local_prefix
from .cluster_run import ClusterRun, RunFacts
from .engine import Engine
from .map_run import MapRun
from .order import Order
from .parcel import Parcel

if TYPE_CHECKING:
    from ..delivery.packaging import Packaging
    from ..trust.policy import Policy

__all__ = ["ClusterExecutor"]


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
        [ticket] = self.engine.submit(order, [pickle.dumps([], protocol=5)], order.run_id)
        return self._run(order.run_id, ticket, parcel)

    def map(
        self,
        package: Packaging | str | PathLike[str],
        items: Iterable[Any],
        *,
        method: str = "run",
        batch_size: int | None = None,
    ) -> MapRun:
        """Call a method of the job with each item, on all workers.

        Items can be any number, of plain values and of classes that the package has too; they are taken as the work goes on.
        The job is loaded once in each thread of a worker, and kept. `batch_size` items make a task; as many as take a tenth
        of a second where it is not given. Raises as `start` does.
        """
        if not method:
            raise ValueError("method is empty. Name the method of the job that is called with each item.")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: a task has one item at least.")
        parcel = Parcel.of(package, policy=self.policy)
        order = self._order(parcel, method)
        self._prepare(parcel, order)
        return MapRun(self.engine, parcel, order, items, batch_size=batch_size, progress=self.progress)

    def _order(self, parcel: Parcel, method: str) -> Order:
        return Order(
            run_id=f"{parcel.facts.module_name}-{secrets.token_hex(4)}",
            seal=parcel.seal,
            module_name=parcel.facts.module_name,
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

    def _run(self, run_id: str, ticket: Any, parcel: Parcel) -> ClusterRun:
        facts = RunFacts(parcel.facts.module_name, parcel.facts.requirements(), parcel.facts.roots)
        return ClusterRun(run_id, self.engine, ticket, facts, lambda position: (position, ""))
