"""A run on a cluster: the job of a package, once."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from ..execution.log_lines import LogLines
from ..execution.results import ResultReader
from ..runtime.errors import JobFailed, OutOfMemory, RunCancelled, RunFailed
from .answer import Answer
from .engine import Engine, TaskLost, Ticket

__all__ = ["ClusterRun", "RunFacts"]


class RunFacts:
    """What is known of the package of a run, also by one who comes back to it: its UID, what it requires, its roots."""

    def __init__(self, module_name: str, requirements: list[str], roots: tuple[str, ...]) -> None:
        self.module_name = module_name
        self.requirements = requirements
        self.roots = roots


class ClusterRun:
    """A task that runs, or has run, the job of a package. See `Run` for what is common to all runs."""

    def __init__(
        self,
        run_id: str,
        engine: Engine,
        ticket: Ticket,
        facts: RunFacts,
        said: Callable[[int], tuple[int, str]],
    ) -> None:
        """`said` gives what was said from a position on, live, and the next position; the answer has all of it in the end."""
        self.id = run_id
        self._engine = engine
        self._ticket = ticket
        self._facts = facts
        self._said = said
        self._came: Answer | TaskLost | None = None
        self._is_cancelled = False

    def __repr__(self) -> str:
        return f"<ClusterRun {self.id}: {self.state}>"

    def __enter__(self) -> ClusterRun:
        return self

    def __exit__(self, *exception: object) -> None:
        """The task goes on; there is nothing to close."""

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed` or `cancelled`, as it is now."""
        self._look(0)
        if self._is_cancelled:
            return "cancelled"
        code = self._code()
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
            position, text = self._said(position)
            yield from lines.add(text.encode("utf-8", "backslashreplace"))
            if self._came is not None or self._is_cancelled:
                break
        yield from lines.rest()

    def wait(self) -> int:
        """Wait for the end, and return the exit status."""
        while (code := self._code()) is None:
            self._look(None)
        return code

    def result(self) -> Any:
        """What the job returned, in classes of the local `tg`; waits for it. Raises `RunFailed` when there is none."""
        name = self._facts.module_name
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
        failure = self._came.failures.get(0)
        if failure is None:
            reader = ResultReader(name, self._facts.requirements, self._facts.roots)
            return reader.read(io.BytesIO(self._came.results))[0]
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
            self._engine.cancel([self._ticket])

    def _look(self, timeout_seconds: float | None) -> None:
        if self._came is None and not self._is_cancelled:
            for came in self._engine.wait([self._ticket], timeout_seconds).values():
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
        return int(self._came.problem is not None or bool(self._came.failures))


_LOOK_SECONDS = 0.1
_TERMINATED = 128 + 15
_KILLED = 128 + 9
