"""What workers of Ray do: tasks, with what they need from the keeper."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ..runtime.errors import ClusterProblem
from . import node
from .order import Order
from .ray_keeper import KEEPER, NAMESPACE, Buffer

__all__ = ["lacking", "task"]

_INLINE_BYTES = 64 * 1024


def task(order_data: bytes, items: bytes, index: int = 0) -> Any:
    """See `work`. A big answer is given as a buffer, so that it is copied into the object store alone.

    `index` is the task's among those of a run that is kept.
    """
    order = Order.of_bytes(order_data)
    tell = None if order.method else _Teller(order.run_id, index)
    answer = node.work(order_data, items, fetch=lambda: _from_keeper(order), tell=tell)
    return answer if len(answer) < _INLINE_BYTES else Buffer(answer)


def lacking(requirements: list[str], module_name: str) -> list[str]:
    """See `node.lacking`."""
    return node.lacking(requirements, module_name)


def _from_keeper(order: Order) -> Iterator[memoryview]:
    import ray
    from ray.exceptions import RayError

    try:
        for reference in ray.get(_keeper().held.remote(order.seal)):
            yield memoryview(ray.get(reference))
            return
        reason = "Ray's keeper does not have it"
    except RayError as error:
        reason = str(error)
    raise ClusterProblem(
        f"{order.module_name} is not in the cluster any more ({reason}), as when the driver that brought it has left. Start the run "
        f"again.",
        cluster=ray.get_runtime_context().gcs_address,
    )


class _Teller:
    """Tells the keeper what a task says, line by line, each with its place in the whole."""

    def __init__(self, run_id: str, index: int) -> None:
        self._run_id = run_id
        self._index = index
        self._position = 0
        self._line = ""

    def __call__(self, text: str) -> None:
        self._line += text
        if "\n" in text:
            _keeper().tell.remote(self._run_id, self._index, self._position, self._line)
            self._position += len(self._line)
            self._line = ""


@lru_cache(maxsize=1)
def _keeper() -> Any:
    import ray

    return ray.get_actor(KEEPER, namespace=NAMESPACE)
