"""Ray as an engine: tasks on the workers that are up, bytes in the object store, and a keeper for what outlives the driver."""

from __future__ import annotations

import json
import mmap
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..runtime.errors import ClusterProblem
from . import bootstrap, ray_keeper
from .answer import Answer
from .delivery_archive import DeliveryArchive
from .engine import Kept, TaskLost, Ticket
from .order import RUN_ID, Order
from .parcel import Parcel
from .ray_keeper import KEEPER, NAMESPACE, Buffer, Keeper
from .ray_task import by_value

__all__ = ["RayEngine"]

_SLOTS_SECONDS = 1.0
_GRACE_SECONDS = 3.0
_SHORT_SECONDS = 0.5
_MOMENT_SECONDS = 0.003
_BIG_BYTES = 16 * 1024 * 1024
_CALLS_AT_A_TIME = 100_000
"""Of the keeper: whoever waits for a task is a call that is under way."""


class RayEngine:
    """This process as a driver of the cluster that it is connected to.

    `options` are those of each task: `num_cpus`, `num_gpus`, `resources`, `max_retries` and others that Ray has. No task has a
    `runtime_env`: that is what workers are started anew for.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        import ray

        self._options = {"num_cpus": 1, **options}
        self._archive = DeliveryArchive.of_this_process()
        self._address = ray.get_runtime_context().gcs_address
        self._driver = ray.get_runtime_context().get_job_id()
        self._lock = threading.RLock()
        self._found: Any = None
        self._functions: dict[str, Any] = {}
        self._pledges: dict[Any, tuple[str, Path]] = {}
        self._kept_tasks: dict[Ticket, tuple[str, int]] = {}
        self._fit: set[tuple[str, tuple[str, ...]]] = set()
        self._slots = (0.0, 1)

    @property
    def name(self) -> str:
        """The address of the head node."""
        return f"ray at {self._address}"

    def spread(self, parcel: Parcel) -> None:
        """The file is put into the object store, and the keeper told; each node fetches it when it has the first task of it.

        A big one is pledged: it is put there by `wait`, when a node asks for it, and so never where all have the driver's disk.
        """
        import ray

        keeper = self._keeper()
        lacking = ray.get(keeper.lacks.remote([parcel.seal, self._archive.digest], self._driver))
        if self._archive.digest in lacking:  # the keeper was started anew
            self._hold(self._archive.digest, self._archive.data)
        if parcel.seal in lacking and parcel.size < _BIG_BYTES:
            self._put(parcel.seal, parcel.file)
        elif parcel.seal in lacking:
            ray.get(keeper.pledge.remote(parcel.seal, parcel.size, self._driver))
            self._pledges[keeper.wanted.remote(parcel.seal)] = parcel.seal, parcel.file

    def slots(self) -> int:
        """As many as the resources of all nodes are enough for."""
        import ray

        asked_at, slots = self._slots
        now = time.monotonic()
        if now - asked_at > _SLOTS_SECONDS or not asked_at:
            there = ray.cluster_resources()
            needed = {
                "CPU": self._options.get("num_cpus"),
                "GPU": self._options.get("num_gpus"),
                **(self._options.get("resources") or {}),
            }
            slots = max(1, min([int(there.get(name, 0) / much) for name, much in needed.items() if much] or [1]))
            self._slots = now, slots
        return slots

    def lacking(self, order: Order, parcel: Parcel) -> dict[str, list[str]]:
        """A task on each node, which has the environment that all workers of the node have."""
        import ray
        from ray.exceptions import RayError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        requirements = tuple(parcel.facts.requirements())
        function = self._function("lacking")
        asked = {}
        for node in ray.nodes():
            if node["Alive"] and (node["NodeID"], requirements) not in self._fit:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                options = {"name": order.run_id, "num_cpus": 0, "scheduling_strategy": there}
                asked[node["NodeID"]] = (
                    f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})",
                    function.options(**options).remote(list(requirements), order.module_name),
                )
        lacking = {}
        for node_id, (shown, reference) in asked.items():
            try:
                problems = ray.get(reference)
            except RayError as error:
                if _is_ours(error):
                    raise self._problem(str(error)) from error
                continue  # it has ended meanwhile, and is none of those that will run it
            if problems:
                lacking[shown] = problems
            else:
                self._fit.add((node_id, requirements))
        return lacking

    def submit(
        self, order: Order, batches: Sequence[bytes], *, kept: Mapping[str, Any] | None = None, divisible: bool = False
    ) -> Sequence[Ticket]:
        """Tasks of this driver, or of the keeper."""
        import ray

        data, function = order.to_bytes(), self._function("task")
        options = {**self._options, "name": order.run_id}
        if kept is None:
            if divisible:
                options["max_retries"] = 0  # the worker that is started in place of one that has ended takes a second
            call = function.options(**options)
            return [call.remote(data, batch) for batch in batches]
        for asked, (seal, _) in list(self._pledges.items()):
            if seal == order.seal:  # the driver may leave
                self._fulfil(asked)
        calls = [(data, batch, index) for index, batch in enumerate(batches)]
        facts = json.dumps(dict(kept)).encode()
        ray.get(self._keeper().start.remote(order.run_id, order.seal, facts, function, options, calls))
        return self._tickets(order.run_id, len(calls))

    def wait(self, tickets: Collection[Ticket], timeout_seconds: float | None = None) -> dict[Ticket, bytes | TaskLost]:
        """All that have ended are got in one."""
        import ray

        waiting: list[Any] = list(tickets)
        ended: list[Any] = []
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while waiting and not ended:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            watched = [*waiting, *self._pledges]
            # Several that come one shortly after the other are one round of the driver.
            several = len(watched) if left == 0 else max(1, len(waiting) // 4)
            moment = _MOMENT_SECONDS if left is None else min(left, _MOMENT_SECONDS)
            ended, _ = ray.wait(watched, num_returns=several, timeout=moment)
            if not ended and left != 0:
                ended, _ = ray.wait(watched, timeout=left)
            if not ended:
                return {}
            for asked in [one for one in ended if one in self._pledges or one not in tickets]:
                ended.remove(asked)
                self._fulfil(asked)
        others = [one for one in waiting if one not in ended]
        if others and timeout_seconds != 0:
            ended += ray.wait(others, num_returns=len(others), timeout=0)[0]
        try:
            came = dict(zip(ended, ray.get(ended), strict=True))
        except Exception:  # noqa: BLE001 one of them was given up
            came = {one: self._come(one) for one in ended}
        return {one: self._end_of_kept(one, value) if one in self._kept_tasks else value for one, value in came.items()}

    def said(self, run_id: str, ticket: Ticket, position: int) -> str:
        """The task tells the keeper."""
        import ray

        _, index = self._kept_tasks.get(ticket, (run_id, 0))
        text: str = ray.get(self._keeper().said.remote(run_id, index, position))
        return text

    def cancel(self, run_id: str, tickets: Collection[Ticket]) -> None:
        """`KeyboardInterrupt` is raised in tasks that run; what does not react within a few seconds loses its worker."""
        import ray

        own: list[Any] = [one for one in tickets if one not in self._kept_tasks]
        if len(own) < len(tickets):
            ray.get(self._keeper().cancel.remote(run_id))
            for one in tickets:
                self._kept_tasks.pop(one, None)
        if own:
            # Ray 2.60 aborts the driver when a task ends at the moment it is cancelled ("Tried to complete task that was not
            # pending"): short ones are let come to their end, and the others are taken away from behind.
            _, own = ray.wait(own, num_returns=len(own), timeout=_SHORT_SECONDS, fetch_local=False)
            for one in reversed(own):
                ray.cancel(one)
            _, waiting = (
                ray.wait(own, num_returns=len(own), timeout=_GRACE_SECONDS, fetch_local=False) if own else ([], [])
            )
            for one in waiting:
                ray.cancel(one, force=True)

    def kept(self, run_id: str) -> Kept | None:
        """The keeper is asked, if there is one."""
        import ray

        if self._keeper(make=False) is None:
            return None
        found = ray.get(self._keeper().run.remote(run_id))
        if found is None:
            return None
        facts, tasks, cancelled = found
        return Kept(json.loads(facts), [] if cancelled else self._tickets(run_id, tasks), cancelled)

    def kept_runs(self) -> Sequence[str]:
        """Those of the keeper."""
        import ray

        if self._keeper(make=False) is None:
            return []
        return [run_id for run_id in ray.get(self._keeper().runs.remote()) if RUN_ID.fullmatch(run_id)]

    def forget(self, run_id: str) -> None:
        """The keeper lets go of it."""
        import ray

        if self._keeper(make=False) is not None:
            ray.get(self._keeper().forget.remote(run_id))

    def _fulfil(self, asked: Any) -> None:
        """Put a file into the object store that was pledged, unless another thread has."""
        seal, file = self._pledges.pop(asked, (None, None))
        if seal is not None and file is not None:
            self._put(seal, file)

    def _put(self, seal: str, path: Path) -> None:
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                self._hold(seal, data)
        except OSError as error:
            raise self._problem(f"{path} cannot be brought to {self.name}: {error.strerror}.") from error

    def _hold(self, digest: str, data: Any) -> None:
        import ray

        ray.get(self._keeper().hold.remote(digest, [ray.put(Buffer(data))], len(data), self._driver))

    def _keeper(self, *, make: bool = True) -> Any:
        """The keeper of the cluster, started where there is none; each delivery is brought to it once for each driver."""
        import ray

        with self._lock:
            if self._found is not None:
                return self._found
            if not make:
                try:
                    ray.get_actor(KEEPER, namespace=NAMESPACE)
                except ValueError:
                    return None
            ray.cloudpickle.register_pickle_by_value(ray_keeper)
            self._found = (
                ray.remote(Keeper)
                .options(
                    name=KEEPER,
                    namespace=NAMESPACE,
                    lifetime="detached",
                    get_if_exists=True,
                    max_concurrency=_CALLS_AT_A_TIME,
                    max_restarts=-1,
                    max_task_retries=3,
                    num_cpus=0,
                    resources={"node:__internal_head__": 0.001},
                )
                .remote()
            )
            if ray.get(self._found.lacks.remote([self._archive.digest], self._driver)):
                self._hold(self._archive.digest, self._archive.data)
        return self._found

    def _function(self, name: str) -> Any:
        import ray

        self._keeper()
        if name not in self._functions:
            text = Path(bootstrap.__file__).read_text("utf-8")
            function = by_value(name, bootstrap=text, digest=self._archive.digest, keeper=KEEPER, namespace=NAMESPACE)
            self._functions[name] = ray.remote(function)
        return self._functions[name]

    def _tickets(self, run_id: str, tasks: int) -> list[Ticket]:
        """For each task of a run that is kept, a call of the keeper that ends when the task does."""
        tickets: list[Ticket] = []
        for index in range(tasks):
            ticket = self._keeper().ended.remote(run_id, index)
            self._kept_tasks[ticket] = run_id, index
            tickets.append(ticket)
        return tickets

    def _end_of_kept(self, ticket: Ticket, came: Any) -> bytes | TaskLost:
        """The keeper answers with a reference to what came of a task."""
        del self._kept_tasks[ticket]
        if isinstance(came, TaskLost):
            raise self._problem(f"the keeper of {self.name} has ended, and with it what it kept: {came}")
        if not came:
            raise self._problem(f"{self.name} keeps nothing of this run any more. Start it again.")
        return self._come(came[0], is_kept=True)

    def _come(self, reference: Any, *, is_kept: bool = False) -> bytes | TaskLost:
        import ray
        from ray.exceptions import RayError, TaskCancelledError

        try:
            value: bytes = ray.get(reference)
            return value
        except TaskCancelledError as error:
            if is_kept:
                return Answer(given_up=True).to_bytes()
            return TaskLost(
                str(error).partition("\n")[0]
            )  # nobody waits for one of ours that was cancelled: meant was another
        except RayError as error:
            if _is_ours(error):
                raise self._problem(str(error)) from error
            return TaskLost(str(error).partition("\n")[0], is_certain=True)

    def _problem(self, text: str) -> ClusterProblem:
        return ClusterProblem(text, cluster=self._address)


def _is_ours(error: Exception) -> bool:
    """Whether the task itself has raised it, before or after what it does for the job: a worker cannot be used then."""
    from ray.exceptions import RayTaskError, TaskCancelledError

    return isinstance(error, RayTaskError) and not isinstance(error, TaskCancelledError)
