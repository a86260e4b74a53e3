"""Addresses of clusters: `dask://scheduler:8786`, `ray://head:10001`."""

from __future__ import annotations

from typing import Any

from ..runtime.errors import InvalidName
from .cluster_executor import ClusterExecutor

__all__ = ["executor_at"]


def executor_at(address: str, **settings: Any) -> ClusterExecutor:
    """The executor of the cluster at an address; `settings` are those that its class has.

    `dask://host:port` is a scheduler that speaks TCP, `dask+tls://host:port` one that speaks TLS. Of Ray it is what Ray takes as
    an address: `ray://host:10001`, `ray://auto` for the cluster that this machine is part of. Raises `InvalidName` for
    others, and what the class raises.
    """
    scheme, _, place = address.partition("://")
    if scheme in ("dask", "dask+tls") and place:
        from .dask_executor import DaskExecutor

        return DaskExecutor(f"{'tls' if scheme.endswith('tls') else 'tcp'}://{place}", **settings)
    if scheme == "ray" and place:
        from .ray_executor import RayExecutor

        return RayExecutor(place if place == "auto" else address, **settings)
    raise InvalidName(
        f"{address!r} is no address of a cluster. Write it as dask://scheduler:8786 or ray://head:10001.", given=address
    )
