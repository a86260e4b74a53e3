"""How a run ended, and what follows from it: its state, and its result or the error that says why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.errors import JobFailed, OutOfMemory, RunCancelled, RunFailed, TimeLimitReached
from .results import read_result

__all__ = ["Outcome"]

_FAILURE_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Outcome:
    """What is known of a run from outside. `exit_code` is `None` while it runs; `where` shows its log to a person."""

    run_id: str
    where: str
    exit_code: int | None
    cancelled: bool = False
    out_of_memory: bool = False
    limits: str = ""
    error: str = ""

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed` or `cancelled`."""
        if self.exit_code is None:
            return "running"
        if self.cancelled:
            return "cancelled"
        return "failed" if self.exit_code else "succeeded"

    def result(self, file: Path, module_name: str, requirements: Sequence[str], roots: Sequence[str]) -> Any:
        """What the job returned, from the file it was written to; `FILE.failure` tells of what it raised.

        Raises `RunFailed`, the kind that says why, or `UntrustedResult`.
        """
        failure = self._failure(file.with_name(f"{file.name}.failure"))
        has_result = file.exists() and file.stat().st_size > 0
        problem = self.problem(module_name, failure, has_result=has_result)
        if problem is not None:
            raise problem
        return read_result(file, module_name, requirements, roots)

    def problem(self, module_name: str, failure: Mapping[str, str], *, has_result: bool) -> RunFailed | None:
        """The error that says why there is no result; `failure` is what is known of what the job raised, `failure_of` of it."""
        run: dict[str, Any] = {"run_id": self.run_id, "exit_code": self.exit_code}
        if self.cancelled:
            return RunCancelled(f"the run {self.run_id} of {module_name} was cancelled.", **run)
        limits = f" (limits: {self.limits})" if self.limits else ""
        shows = f" {self.where} shows what it said." if self.where else ""
        if self.out_of_memory or failure.get("type") == "MemoryError":
            return OutOfMemory(
                f"{module_name} took more memory than there is for it{limits}: its run {self.run_id} was ended with "
                f"status {self.exit_code}. Give it more, or less to do.",
                **run,
            )
        if failure.get("type") == "TimeLimitReached":
            return TimeLimitReached(
                f"{module_name} took longer than it may{limits}: its run {self.run_id} was ended. It was here:\n"
                f"{failure['traceback']}",
                **run,
            )
        if failure:
            return JobFailed(
                f"{module_name} raised {failure['type']}: {failure['message']}\n\n{failure['traceback']}",
                error_type=failure["type"],
                traceback=failure["traceback"],
                **run,
            )
        if self.exit_code:
            return RunFailed(
                f"the run {self.run_id} of {module_name} ended with status {self.exit_code}"
                f"{_signal(self.exit_code)}{': ' + self.error if self.error else ''}.{shows}",
                **run,
            )
        if not has_result:
            return RunFailed(
                f"{module_name} ended by itself with status 0 and returned nothing, as sys.exit() does. Return from the job "
                f"instead.{shows}",
                **run,
            )
        return None

    @staticmethod
    def _failure(file: Path) -> dict[str, str]:
        """`type`, `message` and `traceback`. The job can have written anything there, so nothing is taken for granted."""
        try:
            if not file.stat().st_size:
                return {}
            with file.open("rb") as opened:
                read = json.loads(opened.read(_FAILURE_LIMIT_BYTES))
            return {name: str(read[name]) for name in ("type", "message", "traceback")}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError, RecursionError):
            return {"type": "an error", "message": "what was written down about it cannot be read", "traceback": ""}


def _signal(status: int) -> str:
    """`, killed by SIGKILL` for 137."""
    import signal

    try:
        return f", killed by {signal.Signals(status - 128).name}" if status > 128 else ""
    except ValueError:
        return ""
