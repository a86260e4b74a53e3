"""The executor that runs packages in processes of their own on this machine, each in a clean environment."""

from __future__ import annotations

import fcntl
import math
import os
import random
import re
import secrets
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ...locations import Loc
from ..delivery.package_locks import lock_of
from ..delivery.storage import storing
from ..delivery.store import InstalledPackage, Store
from ..environments.environment import environment_for, python_of
from ..runtime.errors import RunNotFound
from ..runtime.running import EXECUTOR_VARIABLE
from ..runtime.whole_files import make_private_folder, write_whole
from .limits import Limits
from .package_file import package_file
from .process_run import Child, ProcessRun, RunFacts
from .values import Values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..delivery.packaging import Packaging
    from ..trust.policy import Policy

__all__ = ["ProcessExecutor"]

_ID = re.compile(r"[a-z0-9_]+-[0-9a-f]{8}")
_LOCK = 9
_KEPT = ("HOME", "LANG", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ")
"""Variables that every run has, and those that begin with `LC_`: where things are, and how they are written."""

# What looks after the job once nobody else does; `sh` is there a hundred times sooner than Python.
# - SIGTERM goes to the group and is for the job; the shell stays, to write down how it ended.
# - The job's lines are the log's alone: the shell has things to say of a job that was killed.
# - What the job has left running ends with it, as in a container.
# - The status is renamed into place: what reads it has all of it.
_SUPERVISOR = """\
trap : TERM
run=$1 limit=$2
shift 2
echo $$ >"$run/pid"
(
    exec >>"$run/log" 2>&1
    cd "$run/work" || exit 126
    [ -z "$limit" ] || ulimit -d "$limit" || exit 126
    exec "$@"
)
status=$?
trap '' TERM
kill -TERM 0
echo $status >"$run/exit.new"
mv "$run/exit.new" "$run/exit"
"""


class ProcessExecutor:
    """Runs a package in a process of its own: only its dependencies are installed, only the variables named are set.

    - `propagate`: names of environment variables whose values the job gets, beside those for paths, language and time.
      They are read when a run is started, and are on no command line and in no file.
    - `inputs`, `outputs`: what the job finds in its working folder, by its name there, and which folders it leaves; both
      give files or folders here, and are links to them.
    - `cpus`: whole processors, rounded up: the job is bound to so many of them (not on macOS).
    - `memory` (`4g`): what each of its processes may take of private memory (RLIMIT_DATA; of no effect on macOS).
    - `time_seconds`: from the start of its process on.
    - `policy`: which packages are trusted; the machine's by default.

    A run goes on when this process ends; `find`, `runs`, `remove` and `prune` know those of all processes.
    """

    def __init__(
        self,
        *,
        propagate: Sequence[str] = (),
        inputs: Mapping[str, str | PathLike[str]] | None = None,
        outputs: Mapping[str, str | PathLike[str]] | None = None,
        cpus: float | None = None,
        memory: str | int | None = None,
        time_seconds: float | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.propagate = propagate
        self.policy = policy
        self.inputs = dict(inputs or {})
        self.outputs = dict(outputs or {})
        self.limits = Limits(cpus=cpus, memory=memory, time_seconds=time_seconds)
        if cpus is not None and not hasattr(os, "sched_setaffinity"):
            raise ValueError(
                "cpus: this system does not bind processes to processors. Leave it out, or use a container."
            )
        self._children: list[Child] = []

    def start(self, package: Packaging | str | PathLike[str]) -> ProcessRun:
        """Make the environment and the folder of the run, start the job of the package, and return at once.

        Raises `MissingVariables` and `InvalidName` before anything is made, `PackageRejected` for a file that is no
        package, `DependencyProblem` before anything runs when its dependencies cannot be had.
        """
        values = Values.checked(
            propagate=self.propagate, inputs=self.inputs, outputs=self.outputs, absolute_names=False
        )
        installed = Store().install(package_file(package), policy=self.policy)
        python = python_of(environment_for(installed.facts.requirements(), lock_of(installed.facts, installed.folder)))
        folder = Loc.runs / f"{installed.module_name}-{secrets.token_hex(4)}"
        try:
            with storing(f"a run of {installed.module_name} cannot be started", Loc.runs):
                make_private_folder(folder)
                return self._start(folder, installed, python, values)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def find(self, run_id: str) -> ProcessRun:
        """A run that was started before, from whatever process. Raises `RunNotFound`."""
        if not _ID.fullmatch(run_id):
            raise RunNotFound(f"{run_id!r} is no id of a run. ProcessExecutor.runs() lists those that are there.")
        return ProcessRun(Loc.runs / run_id)

    def runs(self) -> list[ProcessRun]:
        """All runs that have a folder, the newest first."""
        found = []
        for folder in Loc.runs.glob("*-*") if Loc.runs.is_dir() else ():
            with suppress(RunNotFound):  # one that is being made, or removed
                found.append(self.find(folder.name))
        return sorted(found, key=lambda run: -run.facts.started_at)

    def remove(self, run_id: str) -> None:
        """Take a run away: its folder, and its processes if it runs. Raises `RunNotFound`."""
        self.find(run_id).remove()

    def prune(self) -> list[str]:
        """Remove all runs that have ended, and give their ids."""
        ended = [run for run in self.runs() if run.state != "running"]
        for run in ended:
            run.remove()
        return [run.id for run in ended]

    def _start(self, folder: Path, installed: InstalledPackage, python: Path, values: Values) -> ProcessRun:
        _make_working_folder(folder / "work", values)
        write_whole(folder / "log", lambda file: file.write(b""))
        with (folder / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._facts(installed, values).write(folder)
            child = Child(
                self._spawn(folder, self._command(folder, installed, python), installed, values, lock.fileno())
            )
        self._children = [one for one in self._children if not one.reap()] + [child]
        return ProcessRun(folder, child)

    def _facts(self, installed: InstalledPackage, values: Values) -> RunFacts:
        return RunFacts(
            module_name=installed.module_name,
            requirements=tuple(installed.facts.requirements()),
            roots=installed.facts.roots,
            started_at=time.time(),
            limits=str(self.limits),
            memory_bytes=self.limits.memory_bytes,
            time_seconds=self.limits.time_seconds,
            propagate=tuple(values.variables),
            inputs={name: str(path) for name, path in values.inputs.items()},
            outputs={name: str(path) for name, path in values.outputs.items()},
        )

    def _command(self, folder: Path, installed: InstalledPackage, python: Path) -> list[str]:
        """What the shell is given: the run's folder, the memory in KiB, and then the command of the job."""
        memory = self.limits.memory_bytes
        command = [str(folder), "" if memory is None else str(max(1, memory // 1024))]
        command += [str(python), "-m", installed.module_name, "--result", str(folder / "result.pickle")]
        if self.limits.time_seconds is not None:
            command += ["--time-limit-seconds", str(self.limits.time_seconds)]
        return command

    def _spawn(
        self, folder: Path, command: Sequence[str], installed: InstalledPackage, values: Values, lock: int
    ) -> int:
        with self._processors():
            return os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", _SUPERVISOR, "sh", *command],
                _environment(installed, values),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, lock, _LOCK),
                    *((os.POSIX_SPAWN_OPEN, one, os.devnull, os.O_RDWR, 0) for one in (0, 1, 2)),
                ],
                setsid=True,
                setsigmask=[],
                # A shell cannot trap what was ignored before it, and Python ignores SIGPIPE.
                setsigdef=[signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGQUIT, signal.SIGTERM],
            )

    @contextmanager
    def _processors(self) -> Iterator[None]:
        """This thread, whose children inherit it, is bound to some processors meanwhile."""
        if self.limits.cpus is None:
            yield
            return
        here = os.sched_getaffinity(0)
        chosen = random.sample(sorted(here), min(len(here), math.ceil(self.limits.cpus)))
        os.sched_setaffinity(0, chosen)
        try:
            yield
        finally:
            os.sched_setaffinity(0, here)


def _environment(installed: InstalledPackage, values: Values) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
    given = {name: value.reveal() for name, value in values.variables.items()}
    path = [str(installed.folder.parent), *filter(None, [given.get("PYTHONPATH")])]
    return {
        **kept,
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",  # an input named numpy is no module
        "PYTHONUNBUFFERED": "1",
        **given,
        "PYTHONPATH": os.pathsep.join(path),
        EXECUTOR_VARIABLE: "process",
    }


def _make_working_folder(folder: Path, values: Values) -> None:
    folder.mkdir()
    for name, path in {**values.inputs, **values.outputs}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(path)
