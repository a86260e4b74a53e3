"""A run on a cluster: the job of a package, once."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..execution.log_lines import LogLines
from ..execution.results import ResultReader
from ..execution.run_card import run_card
from ..runtime.errors import JobFailed, OutOfMemory, RunCancelled, RunFailed
from ..runtime.kinds import of_kind
from .answer import Answer
from .engine import Engine, TaskLost, Ticket
from .order import Order
from .parcel import Parcel

if TYPE_CHECKING:
    from ..runtime.kinds import Kind

__all__ = ["ClusterRun", "RunFacts"]

_LOOK_SECONDS = 0.1
_TERMINATED = 128 + 15
_KILLED = 128 + 9


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run, also by whoever comes back to it: its order, what its package requires, its roots.

    `sizes` are those of the batches of a map that was detached; nothing for a job that runs once.
    """

    order: Order
    requirements: tuple[str, ...]
    sizes: tuple[int, ...] = ()

    @classmethod
    def of(cls, order: Order, parcel: Parcel, sizes: Sequence[int] = ()) -> RunFacts:
        """Those of a run that is about to be started."""
        return cls(order, tuple(parcel.facts.requirements()), tuple(sizes))

    def to_json(self) -> dict[str, Any]:
        """They, as a cluster keeps them."""
        return {
            "order": self.order.to_bytes().decode(),
            "requirements": list(self.requirements),
            "sizes": list(self.sizes),
        }

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> RunFacts:
        """Read back what `to_json` gave."""
        return cls(Order.of_bytes(found["order"].encode()), tuple(found["requirements"]), tuple(found["sizes"]))

    def reader(self) -> ResultReader:
        """What reads results of this run."""
        return ResultReader(self.order.module_name, self.requirements, self.order.roots)


class ClusterRun:
    """A task that runs, or has run, the job of a package. See `Run` for what is common to all runs.

    It goes on when this process ends. The cluster keeps what came of it until the result was taken.
    """

    def __init__(self, engine: Engine, facts: RunFacts, tickets: Sequence[Ticket], *, cancelled: bool = False) -> None:
        self.id = facts.order.run_id
        self._engine = engine
        self._tickets = tickets
        self._facts = facts
        self._came: Answer | TaskLost | None = None
        self._is_cancelled = cancelled

    def __repr__(self) -> str:
        return f"<ClusterRun {self.id}: {self.state}>"

    def _repr_html_(self) -> str:
        return run_card(self)

    def _shown(self) -> list[tuple[str, object]]:
        """What a notebook shows of it."""
        return [("runs", self._facts.order.module_name), ("on", self._engine.name)]

    def __enter__(self) -> ClusterRun:
        return self

    def __exit__(self, *exception: object) -> None:
        """The task goes on; there is nothing to close."""

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed` or `cancelled`, as it is now."""
        self._look(0)
        code = self._code()  # the answer tells whether it was cancelled
        if self._is_cancelled:
            return "cancelled"
        return "running" if code is None else "failed" if code else "succeeded"

    @property
    def exit_code(self) -> int | None:
        """The exit status that a process of its own would have; `None` while it runs."""
        self._look(0)
        return self._code()

    def logs(self) -> Iterator[str]:
        """All lines from the first on, live; see `Run.logs`."""
        lines, position = LogLines(), 0
        while True:
            self._look(_LOOK_SECONDS)
            if isinstance(self._came, Answer):
                whole = "".join(text for _, text in self._came.logs)
                yield from lines.add(whole[position:].encode("utf-8", "backslashreplace"))
                break
            if self._came is not None or self._is_cancelled:
                break
            text = self._engine.said(self.id, self._tickets[0], position)
            position += len(text)
            yield from lines.add(text.encode("utf-8", "backslashreplace"))
        yield from lines.rest()

    def wait(self) -> int:
        """Wait for the end, and return the exit status."""
        while (code := self._code()) is None:
            self._look(None)
        return code

    def result(self, kind: type[Kind] | None = None) -> Kind:
        """What the job returned, in classes of the local `tg`; waits for it. See `Run.result`. Raises `RunFailed` when there is none,
        and what is wrong with all of it, as `MapRun.outcomes` does.
        """
        name = self._facts.order.module_name
        run: dict[str, Any] = {"run_id": self.id, "exit_code": self.wait()}
        if self._is_cancelled:
            raise RunCancelled(f"the run {self.id} of {name} was cancelled.", **run)
        if not isinstance(self._came, Answer):
            raise RunFailed(
                f"the cluster has given up the run {self.id} of {name}: workers ended while they had it ({self._came}).",
                **run,
            )
        error = self._came.error()
        if error is not None:
            raise error
        if self._came.undone is not None:
            raise RunFailed(f"the run {self.id} of {name} came to nothing: {self._came.undone['message']}", **run)
        failure = self._came.failures.get(0)
        if failure is None:
            result = of_kind(
                self._facts.reader().read(io.BytesIO(self._came.results))[0], kind, f"the result of {name}"
            )
            self._engine.forget(self.id)
            return result
        if failure["type"] == "MemoryError":
            raise OutOfMemory(f"{name} took more memory than there is for it: {failure['message']}", **run)
        raise JobFailed(
            f"{name} raised {failure['type']}: {failure['message']}\n\n{failure['traceback']}",
            error_type=failure["type"],
            traceback=failure["traceback"],
            **run,
        )

    def cancel(self) -> None:
        """End it: it is asked to stop. Does nothing to one that has ended."""
        self._look(0)
        if self._came is None and not self._is_cancelled:
            self._is_cancelled = True
            self._engine.cancel(self.id, self._tickets)

    def _look(self, timeout_seconds: float | None) -> None:
        if self._came is None and not self._is_cancelled:
            for came in self._engine.wait(self._tickets, timeout_seconds).values():
                self._came = came if isinstance(came, TaskLost) else Answer.of_bytes(came)

    def _code(self) -> int | None:
        if self._is_cancelled:
            return _TERMINATED
        if self._came is None:
            return None
        if isinstance(self._came, TaskLost):
            return _KILLED
        if self._came.given_up:
            self._is_cancelled = True
            return _TERMINATED
        return int(bool(self._came.problem or self._came.undone or self._came.failures))
