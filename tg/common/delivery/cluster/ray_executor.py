"""The executor of a Ray cluster."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..runtime.errors import ClusterProblem
from .cluster_executor import ClusterExecutor
from .ray_engine import RayEngine

if TYPE_CHECKING:
    from ..trust.policy import Policy

__all__ = ["RayExecutor"]

_ANSWER_SECONDS = 10.0


class RayExecutor(ClusterExecutor):
    """Runs packages on the workers of a Ray cluster; see `ClusterExecutor`.

    - `address`: `host:port` of the head node; `auto`, the cluster that this machine is a node of; `ray://host:port` of a Ray
      Client server.
    - `num_cpus`, `num_gpus`, `resources`: what a task takes of a node, and so how many there are at a time.
    - `max_retries`: how often a task is run again whose worker or node has ended.

    Ray knows one cluster a process: a connection that is there already is used. A context manager, which ends the connection
    that it has made. Where the cluster asks for a token, `RAY_AUTH_MODE=token` and `RAY_AUTH_TOKEN` are to be set before.
    """

    def __init__(
        self,
        address: str = "auto",
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        max_retries: int = 3,
        environment: Literal["workers", "isolated"] = "workers",
        policy: Policy | None = None,
        progress: bool | None = None,
    ) -> None:
        """Raises `ClusterProblem` when Ray is not installed, or no cluster answers at this address."""
        self._is_own = _connect(address)
        options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "resources": resources, "max_retries": max_retries}
        engine = RayEngine({name: value for name, value in options.items() if value is not None})
        super().__init__(engine, environment=environment, policy=policy, progress=progress)

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, if it is not somebody else's. Maps that are under way end with it, unless they are detached."""
        if self._is_own:
            import ray

            self._is_own = False
            ray.shutdown()


def _connect(address: str) -> bool:
    """Connect to a cluster; whether it was not connected before. Ray itself waits for minutes where nobody answers."""
    try:
        import ray
    except ImportError as error:
        raise ClusterProblem(
            "Ray is not installed here. pip install 'training-grounds-delivery[ray]'", cluster=address
        ) from error
    if ray.is_initialized():
        there = ray.get_runtime_context().gcs_address
        if address not in ("auto", there) and not _is_same(address, there):
            raise ClusterProblem(
                f"this process is connected to the Ray cluster at {there}, and Ray knows one a process. Call ray.shutdown() before "
                f"you use {address}.",
                cluster=address,
            )
        return False
    if address != "auto":
        _require_answer(address)
    try:
        ray.init(address=address, namespace="tg", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterProblem(
            f"the Ray cluster at {address} cannot be used: {error}. Where it asks for a token, set RAY_AUTH_MODE=token and "
            f"RAY_AUTH_TOKEN.",
            cluster=address,
        ) from error
    return True


def _require_answer(address: str) -> None:
    host, port = _host_and_port(address)
    try:
        socket.create_connection((host, port), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        raise ClusterProblem(
            f"no Ray cluster answers at {address}: {error.strerror or error}. `ray start --head` says the address of one that is up.",
            cluster=address,
        ) from error


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ClusterProblem(
            f"{address!r} is no address of a Ray cluster. It is host:port, ray://host:port, or auto.", cluster=address
        )
    return host.strip("[]"), int(port)


def _is_same(one: str, other: str) -> bool:
    """Whether two addresses are of one cluster, though one may be a name, or this machine's own."""
    places: list[Any] = [_host_and_port(one), _host_and_port(other)]
    # A Ray Client server has a port of its own; what a cluster tells is that of its GCS.
    if not one.startswith("ray://") and places[0][1] != places[1][1]:
        return False
    try:
        found = [{info[4][0] for info in socket.getaddrinfo(*place)} for place in places]
    except OSError:
        return False
    return bool(found[0] & found[1]) or any(str(ip).startswith("127.") or ip == "::1" for ip in found[0])
