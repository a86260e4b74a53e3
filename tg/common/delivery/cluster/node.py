"""The node: what a worker of a cluster does with a package. One task is one call of `work`."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..delivery.requirements import unmet
from ..runtime.errors import DeliveryError, NotAJob, WorkerEnded
from ..runtime.reducers import dump
from ..runtime.roots import Roots
from ..runtime.running import failure_of, pickle_result, run_job
from ..runtime.unpickling import RenamingUnpickler
from .answer import Answer
from .apart import work_apart
from .giving_up import GivenUp, giving_up
from .order import Order
from .task_output import TaskOutput
from .versions import Fetch, Version, Versions, installed

__all__ = ["lacking", "work"]

_versions = Versions()


def work(
    order_data: bytes,
    items: bytes,
    *,
    fetch: Fetch,
    wanted: Callable[[], bool] | None = None,
    tell: Callable[[str], None] | None = None,
    is_apart: bool = False,
) -> bytes:
    """Do what an `Order` says with a pickled list of items, and give an `Answer`, both as bytes. Nothing is raised for the job.

    `fetch` gives the bytes of the package file, in pieces, where the node does not have it; `wanted` is asked now and then,
    and when it says no, the work is given up; `tell` hears what the task prints and logs as it comes. `is_apart` says that this is
    the process of an environment that was made for the package.
    """
    order = Order.of_bytes(order_data)
    where = socket.gethostname()
    with TaskOutput(order.run_id, tell) as output:
        try:
            if order.isolated and not is_apart:
                return work_apart(
                    order, items, installed(order.seal, order.file, fetch), wanted=wanted, tell=output.add
                )
            with giving_up(wanted), _versions.using(order.seal, order.file, fetch, check=not is_apart) as version:
                return _done(order, items, version, output, where).to_bytes()
        except GivenUp:
            return Answer(given_up=True, logs=output.logs, worker=where).to_bytes()
        except WorkerEnded as error:
            ended = {"type": "WorkerEnded", "message": str(error), "traceback": ""}
            return Answer(undone=ended, logs=output.logs, worker=where).to_bytes()
        except DeliveryError as error:
            return Answer(problem=Answer.problem_of(error), logs=output.logs, worker=where).to_bytes()


def lacking(requirements: Sequence[str], module_name: str) -> list[str]:
    """Which of some requirements are not met in the environment of this worker, in words."""
    missing, conflicts = unmet(requirements, module_name)
    return [*(f"{one} is not installed" for one in missing), *conflicts]


def _done(order: Order, data: bytes, version: Version, output: TaskOutput, where: str) -> Answer:
    started = time.perf_counter()
    if not order.method:
        return _run_once(version, output, where)
    try:
        call = _call_of(version.job(), order)
    except DeliveryError:
        raise
    except Exception as error:  # noqa: BLE001 the edge of the job: that it cannot be loaded is told as what it raises
        return Answer(unloadable=failure_of(error), logs=output.logs, worker=where)
    try:
        items = _read_items(order, data, version.loaded_as)
    except Exception as error:  # noqa: BLE001 one of them does, and which it is is found by dividing them
        return Answer(undone=failure_of(error), logs=output.logs, worker=where)
    results: dict[int, Any] = {}
    failures: dict[int, dict[str, str]] = {}
    for place, item in enumerate(items):
        output.place = place
        try:
            results[place] = call(item)
        except (Exception, SystemExit) as error:  # noqa: BLE001 the edge of the job: an item fails alone
            failures[place] = failure_of(error)
    pickled = _pickled(results, failures)
    seconds = time.perf_counter() - started
    return Answer(pickled, failures, output.logs, worker=where, seconds=seconds)


def _run_once(version: Version, output: TaskOutput, where: str) -> Answer:
    started = time.perf_counter()
    output.place = 0
    results, failures = {}, {}
    try:
        results[0] = run_job(version.entry_point)
    except (Exception, SystemExit) as error:  # noqa: BLE001 the edge of the job
        failures[0] = failure_of(error)
    pickled = _pickled(results, failures)
    seconds = time.perf_counter() - started
    return Answer(pickled, failures, output.logs, worker=where, seconds=seconds)


def _pickled(results: dict[int, Any], failures: dict[int, dict[str, str]]) -> bytes:
    """All results in one; those that cannot be pickled become failures of their items."""
    written = io.BytesIO()
    try:
        dump(list(results.values()), written)
        return written.getvalue()
    except Exception:  # noqa: BLE001 which of them it is, is found below
        for place in list(results):
            try:
                pickle_result(results[place], io.BytesIO())
            except Exception as error:  # noqa: BLE001
                failures[place] = failure_of(error)
                del results[place]
    written = io.BytesIO()
    dump(list(results.values()), written)
    return written.getvalue()


def _call_of(job: Any, order: Order) -> Callable[[Any], Any]:
    call = getattr(job, order.method, None)
    if call is None and order.method == "run":
        call = job
    if not callable(call):
        raise NotAJob(
            f"the resource 'job' of {order.module_name} is of {type(job)}, which has no method {order.method!r} to call with each "
            f"item."
        )
    return call  # type: ignore[no-any-return]


def _read_items(order: Order, data: bytes, loaded_as: str) -> list[Any]:
    """The items, those of the driver's tree in classes of the package."""
    roots = Roots.of(order.roots, order.prefix)
    tg, *others = sorted(roots.names, key=lambda name: name != "tg")
    alike = {roots.here(name): f"{loaded_as}.{name}" for name in others}
    items: list[Any] = RenamingUnpickler(io.BytesIO(data), roots.here(tg), f"{loaded_as}.{tg}", alike=alike).load()
    return items
