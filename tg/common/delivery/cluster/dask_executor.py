"""The executor of a Dask cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ..runtime.errors import ClusterProblem
from .cluster_executor import ClusterExecutor
from .dask_engine import DaskEngine

if TYPE_CHECKING:
    from distributed import Client

    from ..trust.policy import Policy

__all__ = ["DaskExecutor"]


class DaskExecutor(ClusterExecutor):
    """Runs packages on the workers of a Dask scheduler; see `ClusterExecutor`.

    `cluster` is the scheduler's address (`tcp://scheduler:8786`), or a client of it, or a cluster such as `LocalCluster`. A
    context manager, which closes the client that it has made. `connect_seconds`: how long it waits for the scheduler.
    """

    def __init__(
        self,
        cluster: str | Client | Any,
        *,
        environment: Literal["workers", "isolated"] = "workers",
        policy: Policy | None = None,
        progress: bool | None = None,
        connect_seconds: float = 10.0,
    ) -> None:
        """Raises `ClusterProblem` when no scheduler answers there."""
        self._own: Any = None
        self._connect_seconds = connect_seconds
        super().__init__(DaskEngine(self._client(cluster)), environment=environment, policy=policy, progress=progress)

    def __enter__(self) -> DaskExecutor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if it is not somebody else's. Maps that are under way end with it."""
        if self._own is not None:
            self._own.close()

    def _client(self, cluster: Any) -> Any:
        try:
            from distributed import Client
        except ImportError as error:
            raise ClusterProblem(
                "Dask is not installed here. pip install 'training-grounds-delivery[dask]'", cluster=str(cluster)
            ) from error
        if isinstance(cluster, Client):
            if cluster.asynchronous:
                raise TypeError(
                    "the client is asynchronous. Give the executor the scheduler's address, or a client that is not."
                )
            return cluster
        try:
            self._own = Client(cluster, set_as_default=False, timeout=self._connect_seconds)
        except OSError as error:
            raise ClusterProblem(f"no Dask scheduler answers at {cluster}: {error}.", cluster=str(cluster)) from error
        return self._own
