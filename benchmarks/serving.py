"""The server: swaps under load, what a deploy takes, throughput over the bare framework, memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

from .clients import Answers, clients
from .report import Row
from .samples import REPOSITORY, Measure, median_measure
from .served import Served, check_that_wrk_is_there, free_port, requests_per_second, served, wait_until_answering
from .trees import NEEDED

BARE = REPOSITORY / "benchmarks/systems/bare_starlette.py"
VALUE = 1000
BODY = f'{{"value":{VALUE}}}'
CONNECTIONS = 4
MIB = 1 << 20


def measure(rounds: int, *, quick: bool = False) -> list[Row]:
    check_that_wrk_is_there()
    swaps, deploys, versions = (20, 50, 10) if quick else (100, 1000, 100)
    return [
        *_rows_of_swaps([_in_a_folder(_swaps, 50, swaps) for _ in range(rounds)], swaps),
        *_in_a_folder(_deploys, 250, 3 * rounds),
        *_in_a_folder(_throughput, NEEDED, rounds),
        *_in_a_folder(_memory, NEEDED, deploys),
        *_in_a_folder(_payload, NEEDED, versions),
    ]


class Swaps(NamedTuple):
    """A server that new versions have come to, one right after the other, while clients asked; times in milliseconds."""

    asked: int
    wrong: int
    p99: float
    calm_p99: float
    deploys: list[float]


_T = TypeVar("_T")


def _in_a_folder(part: Callable[[Served, int], _T], modules: int, number: int) -> _T:
    with tempfile.TemporaryDirectory() as name, served(Path(name), modules) as server:
        return part(server, number)


def _swaps(server: Served, number: int) -> Swaps:
    first, *others = server.packages(range(number + 1))
    server.client.deploy(first)
    with _asking(server) as calm:
        time.sleep(number / 10)
    live: list[tuple[float, float, int]] = []
    with _asking(server) as answers:
        for place, file in enumerate(others, 1):
            began = time.monotonic()
            server.client.deploy(file)
            live.append((began, time.monotonic(), place))
    return Swaps(
        len(answers),
        answers.failed() + _wrong(answers, live),
        answers.percentile(0.99),
        calm.percentile(0.99),
        [1000 * (ended - began) for began, ended, _ in live],
    )


def _rows_of_swaps(rounds: list[Swaps], number: int) -> list[Row]:
    during, calm = (sorted(getattr(one, p99) for one in rounds) for p99 in ("p99", "calm_p99"))
    return [
        Measure(
            f"{number} swaps under load: requests failed or of the wrong version",
            sum(one.wrong for one in rounds),
            "requests",
            0,
            f"of {sum(one.asked for one in rounds):,} on {len(rounds)} servers; {CONNECTIONS} clients in a loop",
        ),
        median_measure(
            "p99 during swaps, over p99 without",
            "x p99",
            [one.p99 / one.calm_p99 for one in rounds],
            1.5,
            f"{during[0]:.1f} to {during[-1]:.1f} ms over {calm[0]:.1f} to {calm[-1]:.1f} ms",
        ),
        median_measure(
            "POST to live with 50 modules, the clients asking meanwhile",
            "ms",
            [median(one.deploys) for one in rounds],
            130,
            "as the one who deploys sees it: the medians of the servers",
        ),
    ]


def _deploys(server: Served, number: int) -> list[Row]:
    seconds = []
    for file in server.packages(range(number + 1)):
        began = time.perf_counter()
        server.client.deploy(file)
        seconds.append(1000 * (time.perf_counter() - began))
    return [median_measure("POST to live with 250 modules, as its client sees it", "ms", seconds[1:], 250)]


def _throughput(server: Served, rounds: int) -> list[Row]:
    server.client.deploy(*server.packages([1]))
    script = server.home / "post.lua"
    port = free_port()
    taken = []
    with subprocess.Popen([sys.executable, str(BARE), str(port)]) as bare:
        try:
            wait_until_answering(port)
            for turn in range(rounds + 1):
                addresses = [server.address, f"127.0.0.1:{port}"]
                if turn % 2:
                    addresses.reverse()
                found = {
                    address: requests_per_second(address, "/adder", BODY, script, seconds=3, connections=32)
                    for address in addresses
                }
                assert not any(one["failed"] for one in found.values()), found
                taken.append((found[server.address]["rate"], found[f"127.0.0.1:{port}"]["rate"]))
        finally:
            bare.terminate()
    ours, theirs = (median(side) for side in zip(*taken[1:], strict=True))
    ratios = [other / one for one, other in taken[1:]]
    return [
        median_measure(
            "time of a request over that of the same handler, bare",
            "x bare",
            ratios,
            1 / 0.9,
            f"{ours:,.0f} over {theirs:,.0f} requests a second, {median(one / other for one, other in taken[1:]):.2f} x",
        )
    ]


def _memory(server: Served, number: int) -> list[Row]:
    after = {}
    for done, file in enumerate(server.packages(range(number)), 1):
        server.client.deploy(file)
        file.unlink()
        if done in (10, number):
            time.sleep(2)  # what was pushed out has ended then
            after[done] = server.memory()
    return [
        Measure(
            f"memory after {number:,} deploys, over memory after 10",
            after[number] / after[10],
            "x",
            1.1,
            f"{after[number] / MIB:.0f} MiB over {after[10] / MIB:.0f} MiB, with all processes",
        )
    ]


def _payload(server: Served, number: int) -> list[Row]:
    size = 256 * MIB
    first, *others = server.packages(range(number), payload_bytes=size)
    server.client.deploy(first)
    before = server.memory()
    for file in others:
        server.client.deploy(file, mode="none")
        file.unlink()
    time.sleep(1)
    more = server.memory() - before
    ready = sum(one["state"] == "ready" for one in server.client.status()["names"]["adder"]["versions"])
    assert ready == number, ready
    return [
        Measure(
            f"{number} versions ready, the same 256 MiB in each: payload in memory",
            server.payload_memory() / size,
            "x payload",
            1.05,
            f"each version more takes {more / (number - 1) / MIB:.1f} MiB, with its process",
        )
    ]


@contextmanager
def _asking(server: Served) -> Iterator[Answers]:
    file = server.home / "answers.txt"
    with clients(server.address, "/adder", BODY, CONNECTIONS, file) as answers:
        time.sleep(0.5)
        yield answers


def _wrong(answers: Answers, live: list[tuple[float, float, int]]) -> int:
    """Answers of a version that was not live at any moment of the request, or under another's name.

    `live` has for each version when its deploy began and when it was told to be live.
    """
    wrong = 0
    at = 0
    for one in sorted(answers):
        if one.status != 200:
            continue
        while at < len(live) and live[at][1] <= one.asked:
            at += 1
        newest = max((place for began, _, place in live[at : at + 2] if began <= one.answered), default=at)
        number = int(one.body) - VALUE
        wrong += not at <= number <= max(at, newest) or one.version != f"1.{number}.0"
    return wrong
