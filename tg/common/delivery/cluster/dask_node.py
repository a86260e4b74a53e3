"""What workers and the scheduler of Dask do: tasks; and the scheduler keeps package files, from where each node fetches them once."""

from __future__ import annotations

import atexit
import os
import pickle
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...locations import Loc
from ..runtime.errors import ClusterProblem
from ..runtime.whole_files import make_private_folder, sweep_unfinished, unfinished_folder
from . import node, task_output
from .order import Order
from .versions import has_seal

__all__ = ["CHUNK_BYTES", "keep", "keep_file", "kept_bytes", "lacking", "said", "task", "worker_of"]

CHUNK_BYTES = 16 * 1024 * 1024

_LEFT = "cancelled", "released", "forgotten"
_kept: dict[str, Path] = {}
_coming: dict[str, int] = {}
"""How many bytes of a file are there, from its beginning on. Drivers may bring the same one at once: they write the same bytes."""


def task(order_data: bytes, items: bytes) -> bytes:
    """See `work`."""
    from distributed.worker import get_worker

    worker: Any = get_worker()
    key = worker.get_current_task()
    order = Order.of_bytes(order_data)

    def wanted() -> bool:
        state = worker.state.tasks.get(key)
        return state is not None and state.state not in _LEFT

    return node.work(
        order_data,
        items,
        fetch=lambda: _from_scheduler(worker, order),
        wanted=wanted,
    )


def lacking(requirements: list[str], module_name: str) -> list[str]:
    """See `node.lacking`."""
    return node.lacking(requirements, module_name)


def said(run_id: str, position: int) -> str:
    """See `task_output.said`."""
    return task_output.said(run_id, position)


def worker_of(key: str, dask_scheduler: Any = None) -> str | None:
    """The address of the worker that has a task at the moment; for the scheduler."""
    state = dask_scheduler.tasks.get(key)
    return state.processing_on.address if state is not None and state.processing_on is not None else None


def keep(seal: str, offset: int, data: bytes, size: int) -> bool | str:
    """Keep a piece of a package file in the scheduler's process.

    Returns whether it is complete, or why it cannot be kept. What is kept goes with the process.
    """
    if seal in _kept:
        return True
    there = _coming.get(seal, 0)
    if offset > there:
        return "the scheduler was started anew meanwhile"
    try:
        file = _folder() / seal
        with open(file, "r+b" if there else "wb") as opened:
            opened.seek(offset)
            opened.write(data)
    except OSError as error:  # the driver would not know the class of another error
        return str(error)
    _coming[seal] = max(there, offset + len(data))
    if _coming[seal] == size:
        _kept[seal] = file
        del _coming[seal]
    return seal in _kept


@lru_cache(maxsize=1)
def _folder() -> Path:
    """A folder of this process, that goes with it; or is swept by the next that makes one, where it was killed."""
    folder = Loc.cluster
    make_private_folder(folder)
    sweep_unfinished(folder)
    leaving = ExitStack()
    atexit.register(leaving.close)
    return leaving.enter_context(unfinished_folder(folder))


def keep_file(seal: str, file: str, dask_scheduler: Any = None) -> tuple[bool, int]:
    """Keep a package file of the same machine, without a byte being sent, if there is one.

    Returns whether it is complete, see `keep`; and how many threads the workers have, which whoever asks wants to know as well.
    """
    if seal not in _kept and has_seal(file, seal):
        with suppress(OSError):  # another disk
            os.link(file, _folder() / seal)
            _kept[seal] = _folder() / seal
    return seal in _kept, sum(worker.nthreads for worker in dask_scheduler.workers.values())


def kept_bytes(seal: str, offset: int) -> bytes:
    """A piece of a package file that the scheduler keeps, from an offset on."""
    with open(_kept[seal], "rb") as opened:
        return os.pread(opened.fileno(), CHUNK_BYTES, offset)


def _from_scheduler(worker: Any, order: Order) -> Iterator[bytes]:
    from distributed.utils import sync

    async def piece(offset: int) -> bytes:
        answer = await worker.scheduler.run_function(
            function=pickle.dumps(kept_bytes), args=pickle.dumps((order.seal, offset)), kwargs=pickle.dumps({})
        )
        if answer["status"] != "OK":
            raise ClusterProblem(
                f"the scheduler does not have {order.module_name} any more, as when it was started anew. Start the run again.",
                cluster=worker.scheduler.address,
            )
        return bytes(answer["result"])

    offset = 0
    while data := sync(worker.loop, piece, offset):
        offset += len(data)
        yield data
        if len(data) < CHUNK_BYTES:
            return
