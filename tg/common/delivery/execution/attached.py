"""The executor that runs packages in this very process: nothing is started, and a debugger sees all of it."""

from __future__ import annotations

import io
import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

# The lines are to look as those of the other executors, whatever the program does with them.
from ...logger import LineFormatter, Logger
from ..delivery.facts import PackageFacts
from ..delivery.installing import install_package_and_get_loader
from ..runtime.entry_point import EntryPoint
from ..runtime.errors import PackageRejected, RunNotFound
from ..runtime.kinds import of_kind
from ..runtime.running import failure_of, pickle_result, run_job
from .log_lines import LogLines
from .outcome import Outcome
from .package_file import package_file
from .results import read_result
from .run_card import run_card
from .values import Values

if TYPE_CHECKING:
    from ..delivery.packaging import Packaging
    from ..runtime.kinds import Kind
    from ..trust.policy import Policy

__all__ = ["AttachedExecutor", "AttachedRun"]

_THREAD = "tg-run-"
_TERMINATED = 128 + signal.SIGTERM


class AttachedExecutor:
    """Runs a package in a thread of this process, with the source it was made with, and what is installed here.

    - `propagate`: names of environment variables that must be set; the job has all of this process's anyway.
    - `policy`: which packages are trusted; the machine's by default.

    A run lives as long as this process, and is found by the executor that has started it.
    """

    def __init__(self, *, propagate: Sequence[str] = (), policy: Policy | None = None) -> None:
        self.propagate = propagate
        self.policy = policy
        self._runs: dict[str, AttachedRun] = {}

    def start(self, package: Packaging | str | PathLike[str]) -> AttachedRun:
        """Install the package into the store and start its job.

        The package takes over its UID in this process. Raises `MissingVariables` before anything is made, and what
        `install_package_and_get_loader` raises.
        """
        Values.checked(propagate=self.propagate)
        run = AttachedRun(install_package_and_get_loader(package_file(package), silent=True, policy=self.policy))
        self._runs[run.id] = run
        return run

    def find(self, run_id: str) -> AttachedRun:
        """A run that this executor has started. Raises `RunNotFound`."""
        if run_id not in self._runs:
            raise RunNotFound(f"this executor has started no run {run_id!r}, and no other's are found here.")
        return self._runs[run_id]


class AttachedRun:
    """A thread that runs, or has run, the job of a package. See `Run` for what is common to all runs.

    Its log is what the tg Logger is told by this thread, and by threads of the job from code of the package; when
    several runs of one package go on at once, what such threads say is in the logs of all of them.
    """

    def __init__(self, entry_point: EntryPoint) -> None:
        folder = entry_point.resources_location.parent
        facts = PackageFacts.of_folder(folder)
        if facts is None:
            raise PackageRejected(f"{folder} was emptied while its package was installed.", path=folder)
        self.id = f"{entry_point.module_name}-{secrets.token_hex(4)}"
        self._facts = facts
        self._entry_point = entry_point
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._exit_code: int | None = None
        self._is_cancelled = False
        self._error: BaseException | None = None
        self._failure: dict[str, str] = {}
        self._result: bytes | None = None
        thread = threading.Thread(target=self._run, name=_THREAD + self.id, daemon=True)
        thread.start()

    def __repr__(self) -> str:
        return f"<AttachedRun {self.id}>"

    def _repr_html_(self) -> str:
        return run_card(self)

    def _shown(self) -> list[tuple[str, object]]:
        """What a notebook shows of it."""
        return [("runs", self._facts.module_name), ("in", "a thread of this process")]

    def __enter__(self) -> AttachedRun:
        return self

    def __exit__(self, *exception: object) -> None:
        """The thread goes on; there is nothing to close."""

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed` or `cancelled`, as it is now."""
        return self._outcome().state

    @property
    def exit_code(self) -> int | None:
        """The exit status that a process of its own would have; `None` while it runs."""
        return self._exit_code

    def logs(self) -> Iterator[str]:
        """All lines from the first on, live; see `Run.logs`."""
        given = 0
        while new := self._lines_after(given):
            yield from new
            given += len(new)

    def wait(self) -> int:
        """Wait for the end, and return the exit status."""
        with self._changed:
            self._changed.wait_for(lambda: self._exit_code is not None)
        assert self._exit_code is not None
        return self._exit_code

    def result(self, kind: type[Kind] | None = None) -> Kind:
        """What the job returned, in classes of the local `tg`; waits for it. See `Run.result`. Raises `RunFailed` when there is none.

        It is made anew each time, as it would be had it come from elsewhere.
        """
        self.wait()
        name = self._facts.module_name
        # What leaves with status 0 has raised SystemExit, and that is no failure of a process either.
        problem = self._outcome().problem(
            name, self._failure if self._exit_code else {}, has_result=self._result is not None
        )
        if problem is not None:
            raise problem from self._error
        assert self._result is not None
        value = read_result(io.BytesIO(self._result), name, self._facts.requirements(), self._facts.roots)
        return of_kind(value, kind, f"the result of {name}")

    def cancel(self) -> None:
        """Give it up: it counts as cancelled, its log ends and its result is dropped. Does nothing to one that has ended.

        A thread cannot be stopped from outside. The job itself runs on, until it ends or this process does.
        """
        with self._changed:
            if self._exit_code is None:
                self._is_cancelled = True
                self._exit_code = _TERMINATED
                self._changed.notify_all()

    def _outcome(self) -> Outcome:
        return Outcome(run_id=self.id, where="", exit_code=self._exit_code, cancelled=self._is_cancelled)

    def _run(self) -> None:
        logger = logging.getLogger("tg")
        listener = _Listener(self, threading.current_thread().name, self._entry_point.resources_location.parent)
        logger.addFilter(listener)
        try:
            pickled = io.BytesIO()
            pickle_result(run_job(self._entry_point), pickled)
            Logger.info("DONE. Exiting Training Grounds.")
            self._end(0, result=pickled.getvalue())
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            self._end(code & 0xFF, error=error)  # all that a process can tell
        except BaseException as error:
            Logger.exception("Job has failed")
            self._end(1, error=error)
        finally:
            logger.removeFilter(listener)

    def _end(self, exit_code: int, *, error: BaseException | None = None, result: bytes | None = None) -> None:
        failure = failure_of(error) if error is not None else {}
        with self._changed:
            if self._exit_code is None:
                self._error, self._failure, self._result = error, failure, result
                self._exit_code = exit_code
                self._changed.notify_all()

    def _lines_after(self, count: int) -> list[str]:
        """Lines that there are more; waits for some, and gives none once the run has ended."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._lines) > count or self._exit_code is not None)
            return self._lines[count:]

    def _add(self, text: str) -> None:
        lines = LogLines()
        new = [*lines.add(text.encode("utf-8", "backslashreplace")), *lines.rest()]
        with self._changed:
            if self._exit_code is None:
                self._lines += new or [""]
                self._changed.notify_all()


class _Listener(logging.Filter):
    """Hears what is logged, and lets it pass.

    Not a handler: once the logger has another one than its own, it takes the program to show the lines itself.
    """

    def __init__(self, run: AttachedRun, thread: str, package: Path) -> None:
        super().__init__()
        self._run = run
        self._thread = thread
        self._package = str(package) + os.sep
        self._formatter = LineFormatter()

    def filter(self, record: logging.LogRecord) -> bool:
        name = record.threadName or ""
        if name == self._thread or (not name.startswith(_THREAD) and record.pathname.startswith(self._package)):
            try:
                text = self._formatter.format(record)
            except Exception as error:  # noqa: BLE001 as in a handler: a record that cannot be shown does not end the job
                text = f"(a line that cannot be shown: {error})"
            self._run._add(text)
        return True
