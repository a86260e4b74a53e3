"""Other servers on the same job, in an environment of their own, and ours beside them: rate, latency, and swaps under load."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .clients import Answers, clients
from .report import Row
from .samples import REPOSITORY, Observation
from .served import check_that_wrk_is_there, free_port, requests_per_second, served
from .trees import NEEDED

VALUE = 1000
PLAIN = f'{{"value":{VALUE}}}'
TENSOR = f'{{"inputs":[{{"name":"value","shape":[1],"datatype":"INT64","data":[{VALUE}]}}]}}'
CONNECTIONS = 4


@dataclass(frozen=True)
class System:
    name: str
    program: str
    path: str = "/adder"
    body: str = PLAIN
    number: str = r"^(\d+)$"
    """Where in an answer its number is."""
    environment: str = ".venv-servers"

    @property
    def python(self) -> Path:
        return REPOSITORY / self.environment / "bin/python"


SYSTEMS = (
    System(
        "MLServer, a worker process",
        "mlserver",
        "/v2/models/adder/infer",
        TENSOR,
        r'"data":\s*\[(\d+)\]',
        ".venv-mlserver",
    ),
    System("Ray Serve", "ray_serve"),
    System("BentoML, started anew", "bentoml"),
)


def measure(rounds: int, *, quick: bool = False) -> list[Row]:
    """`rounds` swaps of each."""
    check_that_wrk_is_there()
    for system in SYSTEMS:
        if not system.python.exists():
            raise SystemExit(f"{system.name} is not installed. `make {system.environment}/.ready` does that.")
    rows = []
    with tempfile.TemporaryDirectory() as name, served(Path(name), NEEDED) as server:
        first, *others = server.packages(range(rounds + 1))
        server.client.deploy(first)
        ours = System("delivery", "")
        rows.append(
            _row(ours, server.port, lambda number: server.client.deploy(others[number - 1]), rounds, Path(name))
        )
        tensors = System("delivery, tensors", "", "/v2/models/adder/infer", TENSOR, r'"data": \[(\d+)\]')
        rate = _rate(tensors, server.port, Path(name))
        rows.append(
            Observation({"server": tensors.name, "requests/s": f"{rate['rate']:,.0f}", "p99": f"{rate['p99']:.1f} ms"})
        )
    for system in SYSTEMS:
        with tempfile.TemporaryDirectory() as name:
            try:
                with _other(system, Path(name)) as (port, swap):
                    rows.append(_row(system, port, swap, rounds, Path(name)))
            except (OSError, RuntimeError) as error:
                rows.append(Observation({"server": system.name, "requests/s": "none", "how": str(error)}))
    return rows


@contextmanager
def _other(system: System, folder: Path) -> Iterator[tuple[int, Callable[[int], object]]]:
    """A server of another system, and what swaps a version in."""
    port = free_port()
    program = REPOSITORY / f"benchmarks/systems/server_{system.program}.py"
    work = folder / "work"
    work.mkdir()
    command = [str(system.python), str(program), str(port), str(work)]
    with (
        open(folder / "log.txt", "wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None

        def wait() -> None:
            while (line := process.stdout.readline()) != "done\n":
                if not line:
                    raise RuntimeError((folder / "log.txt").read_text(errors="replace").strip().splitlines()[-1])

        def swap(number: int) -> None:
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            wait()

        try:
            wait()
            yield port, swap
        finally:
            process.stdin.close()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _row(system: System, port: int, swap: Callable[[int], object], rounds: int, folder: Path) -> Observation:
    rate = _rate(system, port, folder)
    file = folder / "answers.txt"
    seconds: list[float] = []
    done: list[tuple[float, int]] = []
    with clients(f"127.0.0.1:{port}", system.path, system.body, CONNECTIONS, file) as answers:
        time.sleep(1)
        for number in range(1, rounds + 1):
            began = time.monotonic()
            swap(number)
            done.append((time.monotonic(), number))
            seconds.append(done[-1][0] - began)
            time.sleep(0.5)
    old = _old(system, answers, done)
    return Observation(
        {
            "server": system.name,
            "requests/s": f"{rate['rate']:,.0f}",
            "p99": f"{rate['p99']:.1f} ms",
            "a swap": f"{1000 * median(seconds):,.0f} ms",
            "p99 while swapping": f"{answers.percentile(0.99):,.1f} ms",
            "failed": f"{answers.failed():,} of {len(answers):,}",
            "by the old version after the swap was done": f"{old:,}",
        }
    )


def _rate(system: System, port: int, folder: Path) -> dict[str, float]:
    address = f"127.0.0.1:{port}"
    requests_per_second(address, system.path, system.body, folder / "post.lua", seconds=2, connections=16)
    return requests_per_second(address, system.path, system.body, folder / "post.lua", seconds=5, connections=16)


def _old(system: System, answers: Answers, done: list[tuple[float, int]]) -> int:
    """Answers to requests that were asked after a swap was told to be done, by a version from before."""
    count = at = 0
    for one in sorted(answers):
        while at < len(done) and done[at][0] <= one.asked:
            at += 1
        found = re.search(system.number, one.body)
        if at and one.status == 200 and found:
            count += int(found[1]) - VALUE < done[at - 1][1]
    return count


if __name__ == "__main__":
    for row in measure(int(sys.argv[1])):
        print(row.cells())
