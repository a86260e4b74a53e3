"""Samples of runs, each with the project on the path and TG_HOME its own; they print what each round has taken.

python -m benchmarks.sample_run changed PROJECT BASE ROUNDS HOST    one line changed, to the first log line on a server
python -m benchmarks.sample_run lines BASE ROUNDS [HOST]            a line printed in a container, to the line here
python -m benchmarks.sample_run process ROUNDS                      a process with a clean environment, to its first line
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from typing import Any

from tg.common.delivery.delivery import Containering, Packaging
from tg.common.delivery.environments.environment import environment_for, python_of
from tg.common.delivery.execution import DockerExecutor, ProcessExecutor

from .containers import first_line, remove
from .sample_image import NAME, Changes, Stages
from .samples import in_turns
from .trees import TICKS


class OnAServer(Changes):
    """A run on a server to which the connection is up; the floor is a container there that prints, and does no more."""

    def __init__(self, project: str, base: str, host: str) -> None:
        super().__init__(project, base)
        self.executor = _executor(base, host)
        self.api = self.executor._pusher.engine().api

    def round(self, number: int) -> dict[str, dict[str, float]]:
        ours, bare = in_turns(number, self.ours, self.bare)
        return {"ours": ours, "bare": bare}

    def ours(self) -> dict[str, float]:
        stages = Stages()
        packaging = self.package()
        stages.done("make")
        run = self.executor.start(packaging)
        stages.done("start")
        lines = run.logs()
        line = next(lines)
        stages.done("line")
        lines.close()
        assert "Welcome" in line, line
        remove(self.api, container=run.id, image=f"{NAME}:{packaging.version}")
        return stages.seconds

    def bare(self) -> dict[str, float]:
        stages = Stages()
        container, line = first_line(self.api, {"Image": self.base, "Cmd": ["python3", "-c", "print(1)"]})
        stages.done("run")
        assert line == "1", line
        remove(self.api, container=container)
        return stages.seconds


def changed(project: str, base: str, rounds: str, host: str) -> None:
    samples = OnAServer(project, base, host)
    with samples.executor:
        _print([samples.round(number) for number in range(int(rounds) + 1)][1:])


def lines(base: str, rounds: str, host: str | None = None) -> None:
    """The milliseconds from the time a line says to the time here; both are clocks of this machine."""
    packaging = _package("tg.bench.ticking")
    with _executor(base, host) as executor:
        api = executor._pusher.engine().api
        taken: list[float] = []
        for _ in range(int(rounds)):
            run = executor.start(packaging)
            came = [(line, time.time_ns()) for line in run.logs()]
            ticks = [(at - int(line)) / 1e6 for line, at in came if line.isdecimal()]
            assert len(ticks) == TICKS, came
            taken += ticks
            run.remove()
        remove(api, image=f"{NAME}:{packaging.version}")
    _print(taken)


def process(rounds: str) -> None:
    packaging = _package("tg.bench.job")
    executor = ProcessExecutor()

    def ours() -> float:
        started = time.perf_counter()
        run = executor.start(packaging)
        line = next(run.logs())
        taken = time.perf_counter() - started
        assert run.wait() == 0
        assert "Welcome" in line, line
        run.remove()
        return taken

    def bare() -> float:
        started = time.perf_counter()
        subprocess.run([python, "-c", "pass"], check=True)
        return time.perf_counter() - started

    ours()  # makes the environment
    python = python_of(environment_for(()))
    _print([in_turns(number, ours, bare) for number in range(int(rounds) + 1)][1:])


def _executor(base: str, host: str | None) -> DockerExecutor:
    settings = Containering(NAME)
    settings.base_image, settings.silent = base, True
    return DockerExecutor(host=host, containering=settings)


def _package(module: str) -> Packaging:
    packaging = Packaging("bench", "1.0.0", {"job": importlib.import_module(module).Job()})
    packaging.silent = True
    packaging.checked = False  # measured apart, by checks.py
    return packaging.make_package()


def _print(rounds: list[Any]) -> None:
    print(json.dumps({"rounds": rounds}))


if __name__ == "__main__":
    {"changed": changed, "lines": lines, "process": process}[sys.argv[1]](*sys.argv[2:])
