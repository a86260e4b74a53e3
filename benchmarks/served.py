"""A server of ours for a benchmark, with a home of its own, and packages for it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tg.common.delivery.serving.client import ServerClient
from tg.common.delivery.serving.metrics import memory_of

from .samples import REPOSITORY
from .trees import NEEDED, make_tree

JOB = '''
"""A job that says which version it is of, and needs ten modules of the tree for nothing."""

{imports}


class Job:
    def __init__(self, weights=None):
        self.weights = weights

    def warm_up(self):
        self.run(0)  # so that the first request does not wait for an import
        if self.weights is not None:
            self.weights.sum()

    def run(self, value: int) -> int:
        from .stamp import NUMBER

        return value + NUMBER
'''
# One process makes them all: what is delivered is the source on the disk at that moment.
MAKE = """
import sys
from pathlib import Path
from tg.common.delivery.delivery import Packaging
from tg.served.job import Job
project, folder, payload_bytes, *numbers = sys.argv[1:]
weights = None
if int(payload_bytes):
    import numpy
    weights = numpy.random.default_rng(0).random(int(payload_bytes) // 8)
for number in numbers:
    Path(project, "tg/served/stamp.py").write_text(f"NUMBER = {number}\\n")
    packaging = Packaging("adder", f"1.{number}.0", dict(job=Job(weights)))
    packaging.silent, packaging.checked = True, False
    print(packaging.make_package(folder).package_location)
"""


@dataclass
class Served:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int
    client: ServerClient
    project: Path
    home: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def packages(self, numbers: Iterable[int], *, payload_bytes: int = 0) -> list[Path]:
        """Packages whose jobs add a number each, of versions 1.NUMBER.0."""
        arguments = [str(self.project), str(self.home / "dist"), str(payload_bytes), *map(str, numbers)]
        return [Path(line) for line in _output([sys.executable, "-c", MAKE, *arguments], self.project, self.home)]

    def memory(self) -> int:
        """Bytes that the server and all of its processes take, shared pages divided among those who have them."""
        return memory_of([self.process.pid, *_descendants(self.process.pid)])

    def payload_memory(self) -> int:
        """Bytes of the payloads' files that are in memory, each page counted once."""
        pages = [
            1024 * int(line.split()[1])
            for pid in _descendants(self.process.pid)
            for line in _of_payload(Path(f"/proc/{pid}/smaps"))
        ]
        return sum(pages)


@contextmanager
def served(folder: Path, modules: int, *options: str) -> Iterator[Served]:
    """Our server, and a project with so many modules besides the job's."""
    project, home = folder / "project", folder / "home"
    make_tree(project, modules)
    (project / "tg/served").mkdir()
    (project / "tg/served/__init__.py").touch()
    imports = "\n".join(f"from ..bench.part0 import module{number}" for number in range(NEEDED))
    (project / "tg/served/job.py").write_text(JOB.format(imports=imports))
    port, management = free_port(), free_port()
    command = [
        sys.executable,
        "-m",
        "tg.common.cli",
        "serve",
        "--port",
        str(port),
        "--management-port",
        str(management),
    ]
    with (
        open(folder / "server.log", "wb") as log,
        subprocess.Popen(
            [*command, *options], cwd=REPOSITORY, env=_environment(home, REPOSITORY), stderr=log
        ) as process,
    ):
        try:
            address = f"http://127.0.0.1:{management}"
            wait_until_ready(f"{address}/health/ready")
            token = (home / "server/token").read_text()
            yield Served(process, port, ServerClient(address, token=token), project, home)
        finally:
            process.terminate()
            process.wait(60)


def wait_until_ready(address: str, seconds: float = 60) -> None:
    """Wait until something answers with 200."""
    until = time.monotonic() + seconds
    while True:
        with suppress(requests.RequestException):
            if requests.get(address, timeout=5).status_code == 200:
                return
        if time.monotonic() > until:
            raise TimeoutError(f"{address} is not ready after {seconds} s")
        time.sleep(0.05)


def check_that_wrk_is_there() -> None:
    """Raises `SystemExit` with what to do, before minutes of measuring are lost."""
    if shutil.which("wrk") is None:
        raise SystemExit(
            "requests are sent by wrk, which is not on the PATH: apt-get install wrk, or your system's way."
        )


def requests_per_second(
    address: str, path: str, body: str, script: Path, *, seconds: int, connections: int
) -> dict[str, Any]:
    """What wrk measures: requests a second, the 99th percentile in milliseconds, answers that are not 200."""
    script.write_text(
        f"wrk.method='POST'; wrk.body='{body}'; wrk.headers['content-type']='application/json'", encoding="utf-8"
    )
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}",
        "--latency",
        "-s",
        str(script),
        f"http://{address}{path}",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    p99 = re.search(r"99%\s+([0-9.]+)(us|ms|s)", said)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    assert p99 is not None, said
    assert rate is not None, said
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return {"rate": float(rate[1]), "p99": scale * float(p99[1]), "failed": int(bad[1]) if bad else 0}


def wait_until_answering(port: int, seconds: float = 30) -> None:
    """Wait until a port takes connections."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _of_payload(smaps: Path) -> Iterator[str]:
    """The lines of a process's memory that say how much of a payload's file it has, by its share."""
    ours = False
    try:
        lines = smaps.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        if "-" in line.split(" ", 1)[0]:
            ours = "/resources/" in line
        elif ours and line.startswith("Pss:"):
            yield line


def _environment(home: Path, *path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TG_", "PYTHON"))}
    return {**kept, "TG_HOME": str(home), "PYTHONPATH": os.pathsep.join(map(str, path))}


def _output(command: Sequence[str], project: Path, home: Path) -> list[str]:
    environment = _environment(home, project, REPOSITORY)
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.split()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found
