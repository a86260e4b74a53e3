"""The task that a Ray cluster gets: it brings delivery to the worker that runs it, once, and calls a function of `ray_node`.

It is sent by value, one function for each driver, with the text of the bootstrap and the digest of the driver's delivery. So workers
that are up already take it, and need nothing of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["by_value"]


def by_value(function: str, *, bootstrap: str, digest: str, keeper: str, namespace: str) -> Callable[..., Any]:
    """A function of `ray_node` in the delivery with this digest, to be called on workers.

    It is local to this one, and so Ray pickles its code.
    """

    def call(*arguments: Any) -> Any:
        import importlib
        import sys

        name = f"tg_cluster_{digest[:16]}.tg.common.delivery.cluster.ray_node"
        module = sys.modules.get(name)
        if module is None:
            import ray

            def archive() -> bytes:
                [reference] = ray.get(ray.get_actor(keeper, namespace=namespace).held.remote(digest))
                return bytes(ray.get(reference))

            names: dict[str, Any] = {"__name__": "tg_cluster_bootstrap"}
            exec(bootstrap, names)
            names["node_module"](digest, archive)
            module = importlib.import_module(name)
        return getattr(module, function)(*arguments)

    return call
