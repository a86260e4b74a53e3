"""A Dask cluster as somebody's would be: a scheduler, and nodes with workers, in processes that have no delivery installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from projects import REPOSITORY
from waiting import until

_PROGRAM = """\
import sys
sys.path[:] = [entry for entry in sys.path if entry != sys.argv[1]]
try:
    import tg.common
except ModuleNotFoundError:
    from distributed.cli.dask_{0} import main
    sys.argv[:] = ["dask-{0}", *sys.argv[2:]]
    main()
"""


class DaskNodes:
    """A node is a folder for its store, and a process with its workers' nanny; workers that end are started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._address = folder / "scheduler.json"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._start("scheduler", "scheduler", "--port=0", "--host=127.0.0.1", f"--scheduler-file={self._address}")
        self.address = until(self._look)

    def add(self, name: str, *, workers: int = 1, nanny: bool = True) -> None:
        """Start a node."""
        local = f"--local-directory={self.folder / name / 'dask'}"
        options = [self.address, "--host=127.0.0.1", f"--nworkers={workers}", "--nthreads=1", f"--name={name}", local]
        self._start(name, "worker", *options, "--nanny" if nanny else "--no-nanny", "--memory-limit=0")

    def home(self, name: str) -> Path:
        """The folder that delivery has on a node."""
        return self.folder / name / "home"

    def remove(self, name: str) -> None:
        """End a node, with its workers, at once."""
        process = self._processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """End all of it."""
        for name in list(self._processes)[::-1]:
            self.remove(name)

    def _start(self, name: str, kind: str, *options: str) -> None:
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("TG_", "PYTHONPATH"))}
        environment |= {
            "TG_HOME": str(self.home(name)),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
            "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver",  # a worker is there again sooner
        }
        with (self.folder / name / "log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM.format(kind), str(REPOSITORY), *options, "--no-dashboard"],
                cwd=self.folder / name,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _look(self) -> str:
        import json

        assert self._processes["scheduler"].poll() is None, (self.folder / "scheduler/log").read_text()
        with suppress(OSError, ValueError):
            return str(json.loads(self._address.read_text())["address"])
        return ""
