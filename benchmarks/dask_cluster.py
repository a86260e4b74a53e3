"""A Dask cluster to measure on: each node is a process for each of its workers, and a folder for their store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tg.common.delivery.cluster.dask_executor import DaskExecutor
from tg.common.delivery.trust import Policy

START_SECONDS = 120


class DaskCluster:
    """A scheduler, nodes, and an executor of ours; a context manager, which ends all of it."""

    name = "Dask"

    def __init__(self, folder: Path, *, nodes: int, workers: int) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._address = folder / "scheduler.json"
        self._slots = nodes * workers
        self._start("scheduler", "scheduler", "--port=0", "--host=127.0.0.1")
        for node in range(nodes):
            for worker in range(workers):
                self._start(
                    f"node{node}", "worker", "--nthreads=1", f"--name={node}-{worker}", "--no-nanny", "--host=127.0.0.1"
                )

    def __enter__(self) -> DaskCluster:
        from distributed import Client

        self.client = Client(scheduler_file=str(self._address), timeout=START_SECONDS, set_as_default=False)
        self.client.wait_for_workers(self._slots, timeout=START_SECONDS)
        self.executor = DaskExecutor(self.client, policy=Policy.any(), progress=False)
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()
        for process in self._processes[::-1]:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def map_plainly(self, function: Callable[[Any], Any], batches: Sequence[Any]) -> list[Any]:
        """The same as plain tasks, all results at once."""
        results: list[Any] = self.client.gather(self.client.map(function, batches, pure=False))
        return results

    def give_plainly(self, value: Any, function: Callable[[Any], Any]) -> Any:
        """A big value into the cluster as it is done without us, and what a first task makes of it."""
        held = self.client.scatter(value, hash=False)
        return self.client.submit(function, held, pure=False).result()

    def _start(self, node: str, kind: str, *options: str) -> None:
        home = self._folder / node
        home.mkdir(parents=True, exist_ok=True)
        with (home / "log").open("ab") as log:
            command = [sys.executable, "-m", "distributed.cli.dask_" + kind, f"--scheduler-file={self._address}"]
            self._processes.append(
                subprocess.Popen(
                    [*command, "--no-dashboard", *options],
                    cwd=home,
                    env={**os.environ, "TG_HOME": str(home / "home")},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
