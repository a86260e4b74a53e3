"""A run in a process of its own, as the folder it leaves: whoever has the folder has the run.

RUNS/<id>/run.json      what runs, with what limits; no value of any variable
RUNS/<id>/log           what the job has written, its standard output and error
RUNS/<id>/work/         its working folder: inputs and outputs are links in it
RUNS/<id>/lock          locked (flock) as long as it runs: that holds no longer than its processes live
RUNS/<id>/pid           the process group
RUNS/<id>/exit          the exit status; it appears whole, and then the run has ended
RUNS/<id>/cancelled     is there when it was cancelled
RUNS/<id>/result.pickle what the job returned, or result.pickle.failure
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.errors import RunNotFound
from ..runtime.kinds import of_kind
from ..runtime.whole_files import write_whole
from .log_lines import LogLines
from .outcome import Outcome
from .run_card import run_card

if TYPE_CHECKING:
    from ..runtime.kinds import Kind

__all__ = ["Child", "ProcessRun", "RunFacts"]

_POLL_SECONDS = 0.005
_STOP_SECONDS = 10.0
_OVERTIME_SECONDS = 10.0  # the job's process ends itself within half of it
_CHUNK_BYTES = 64 * 1024
_TAIL_BYTES = 8 * 1024
_KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True)
class RunFacts:
    """What `run.json` says. `started_at` is in seconds since 1970; of variables there are only names."""

    module_name: str
    requirements: tuple[str, ...]
    started_at: float
    limits: str
    memory_bytes: int | None
    time_seconds: float | None
    propagate: tuple[str, ...]
    inputs: dict[str, str]
    outputs: dict[str, str]
    roots: tuple[str, ...] = ("tg",)

    def write(self, folder: Path) -> None:
        """Write them; with that the run can be found."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        write_whole(folder / "run.json", lambda file: file.write(text.encode()))

    @classmethod
    def read(cls, folder: Path) -> RunFacts:
        """Read them back. Raises `RunNotFound` when there are none."""
        try:
            found = json.loads((folder / "run.json").read_bytes())
            listed = {name: tuple(found[name]) for name in ("requirements", "propagate", "roots") if name in found}
            return cls(**{**found, **listed})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunNotFound(
                f"there is no run {folder.name} in {folder.parent}. ProcessExecutor.runs() lists those that are there."
            ) from error


class Child:
    """A process that this one has started, to be reaped when it has ended."""

    def __init__(self, pid: int) -> None:
        self._pid: int | None = pid

    def reap(self) -> bool:
        """Whether it has been; once, since its number may be another's afterwards."""
        if self._pid is not None:
            try:
                if os.waitpid(self._pid, os.WNOHANG)[0]:
                    self._pid = None
            except ChildProcessError:  # somebody else has
                self._pid = None
        return self._pid is None


class ProcessRun:
    """A process that runs, or has run, the job of a package. See `Run` for what is common to all runs.

    It needs nobody to watch it: it goes on when the process that started it has ended.
    """

    def __init__(self, folder: Path, child: Child | None = None) -> None:
        self.facts = RunFacts.read(folder)
        self.id = folder.name
        self.folder = folder
        self._child = child
        self._ended: int | None = None
        self._is_lost = False

    def __repr__(self) -> str:
        return f"<ProcessRun {self.id} in {self.folder}>"

    def _repr_html_(self) -> str:
        return run_card(self)

    def _shown(self) -> list[tuple[str, object]]:
        """What a notebook shows of it."""
        return [("runs", self.facts.module_name), ("limits", self.facts.limits), ("lies in", self.folder)]

    def __enter__(self) -> ProcessRun:
        return self

    def __exit__(self, *exception: object) -> None:
        """The process goes on; there is nothing to close."""

    @property
    def module_name(self) -> str:
        """The UID of the package that it runs."""
        return self.facts.module_name

    @property
    def started_at(self) -> float:
        """When it was started, in seconds since 1970."""
        return self.facts.started_at

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed` or `cancelled`, as it is now."""
        return self._outcome().state

    @property
    def exit_code(self) -> int | None:
        """The exit status, 128 + n where signal n ended it; `None` while it runs."""
        return self._status()

    def logs(self) -> Iterator[str]:
        """All lines from the first on, live; see `Run.logs`."""
        lines = LogLines()
        with (self.folder / "log").open("rb", buffering=0) as file:
            while True:
                ended = self._status() is not None  # asked first: then what is read next has all there is
                chunk = file.read(_CHUNK_BYTES)
                if chunk:
                    yield from lines.add(chunk)
                elif ended:
                    yield from lines.rest()
                    return
                else:
                    time.sleep(_POLL_SECONDS)

    def wait(self) -> int:
        """Wait for the end, and return the exit status."""
        while (status := self._status()) is None:
            time.sleep(_POLL_SECONDS)
        return status

    def result(self, kind: type[Kind] | None = None) -> Kind:
        """What the job returned, in classes of the local `tg`; waits for it. See `Run.result`. Raises `RunFailed` when there is none."""
        self.wait()
        file = self.folder / "result.pickle"
        outcome = self._outcome()
        if outcome.exit_code and not outcome.cancelled and self._took_too_long():
            self._tell_of_time_limit(file.with_name("result.pickle.failure"))
        value = outcome.result(file, self.facts.module_name, self.facts.requirements, self.facts.roots)
        return of_kind(value, kind, f"the result of {self.facts.module_name}")

    def cancel(self) -> None:
        """End it: SIGTERM, and ten seconds later SIGKILL. Does nothing to one that has ended."""
        marker = self.folder / "cancelled"
        if self._status() is not None:
            return
        marker.touch()
        if self._status() is not None:  # by itself, just now
            marker.unlink(missing_ok=True)
            return
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._status() is None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if self._status() is None:
            self._kill()

    def remove(self) -> None:
        """Take its folder away; one that runs is killed. Where its inputs and outputs lie is not touched."""
        if self._status() is None:
            self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _outcome(self) -> Outcome:
        status = self._status()
        cancelled = status is not None and (self.folder / "cancelled").exists()
        return Outcome(
            run_id=self.id,
            where=f"`cat {self.folder / 'log'}`",
            exit_code=status,
            cancelled=cancelled,
            out_of_memory=status == _KILLED
            and self.facts.memory_bytes is not None
            and not (self._is_lost or self._took_too_long()),
            limits=self.facts.limits,
            error="its processes are gone and left no exit status, as when the machine is restarted"
            if self._is_lost
            else "",
        )

    def _status(self) -> int | None:
        """The exit status. A run whose processes are gone without one counts as killed."""
        if self._ended is not None:
            return self._ended
        for _ in range(2):  # it may end between the two questions
            with suppress(FileNotFoundError):
                self._ended = int((self.folder / "exit").read_bytes())
                break
            if self._is_alive():
                if self._overtime() > _OVERTIME_SECONDS:
                    self._kill()
                return self._ended
        else:
            self._is_lost = True
            self._ended = _KILLED
        if self._child is not None:
            self._child.reap()
        return self._ended

    def _is_alive(self) -> bool:
        try:
            with (self.folder / "lock").open("rb") as file:
                # Shared, so that two who ask are not in each other's way.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError as error:
            raise RunNotFound(f"the run {self.id} was removed from {self.folder.parent}.") from error
        return False

    def _overtime(self) -> float:
        limit = self.facts.time_seconds
        return float("-inf") if limit is None else time.time() - self.facts.started_at - limit

    def _took_too_long(self) -> bool:
        """Whether it ended after its time was over."""
        limit = self.facts.time_seconds
        if limit is None:
            return False
        try:
            ended_at = (self.folder / "exit").stat().st_mtime
        except FileNotFoundError:
            return False
        return ended_at - self.facts.started_at >= limit

    def _tell_of_time_limit(self, file: Path) -> None:
        """What the job's process could not say itself, being stuck; its log has where, if it got that far."""
        if file.exists():
            return
        with (self.folder / "log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = LogLines()
            tail = "\n".join([*lines.add(log.read()), *lines.rest()])
        text = json.dumps({"type": "TimeLimitReached", "message": "it did not end by itself", "traceback": tail})
        write_whole(file, lambda opened: opened.write(text.encode()))

    def _signal(self, number: int) -> None:
        """To the whole process group. Its number is its own as long as the lock is held."""
        while self._is_alive():
            with suppress(FileNotFoundError, ValueError):  # written by the first thing that runs in it
                group = int((self.folder / "pid").read_bytes())
                with suppress(ProcessLookupError):
                    os.killpg(group, number)
                return
            time.sleep(_POLL_SECONDS)

    def _kill(self) -> None:
        """SIGKILL, which also ends the one that would have written the exit status down."""
        self._signal(signal.SIGKILL)
        while self._is_alive():
            time.sleep(_POLL_SECONDS)
        if not (self.folder / "exit").exists():
            write_whole(self.folder / "exit", lambda file: file.write(str(_KILLED).encode()))
        self._ended = int((self.folder / "exit").read_bytes())
        if self._child is not None:
            self._child.reap()
