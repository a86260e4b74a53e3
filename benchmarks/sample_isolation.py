"""Samples of packages in workers, each beside its floor.

python -m benchmarks.sample_isolation calls ROUNDS CALLS            seconds of a call, and of an echo of the same bytes
python -m benchmarks.sample_isolation arrays ROUNDS                 of an array as an argument, and of copying it here
python -m benchmarks.sample_isolation environments ROUNDS NAME...   of making an environment, and of starting a worker
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from tg.common.delivery.delivery import DependencyList, Packaging, install_package_and_get_loader
from tg.common.delivery.environments.environment import environment_for
from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint
from tg.common.delivery.runtime.channel import Channel, Message, Packed
from tg.common.locations import Loc

from .samples import in_turns

MIB = 1 << 20
VALUE = {"rows": list(range(100)), "name": "a small argument"}

# Takes so many bytes, and answers with so many; both in one piece, as here.
ECHO = """
import socket, sys
fd, size, answer = map(int, sys.argv[1:])
connection = socket.socket(fileno=fd)
room, answer = bytearray(size), bytes(answer)
while connection.recv_into(room, size, socket.MSG_WAITALL):
    connection.sendall(answer)
"""


def calls(rounds: str, number: str) -> None:
    with _entry_point() as entry_point:
        job = entry_point.load_resource("job")
        sent, answered = _sizes(lambda: job.run(VALUE))
        ours, theirs = socket.socketpair()
        arguments = [str(theirs.fileno()), str(sent), str(answered)]
        with ours, subprocess.Popen([sys.executable, "-c", ECHO, *arguments], pass_fds=[theirs.fileno()]):
            theirs.close()
            request, room = bytes(sent), bytearray(answered)

            def echo() -> None:
                ours.sendall(request)
                ours.recv_into(room, answered, socket.MSG_WAITALL)

            def call() -> None:
                job.run(VALUE)

            taken = [
                in_turns(one, lambda: _median(call, int(number)), lambda: _median(echo, int(number)))
                for one in range(int(rounds) + 1)
            ]
            ours.shutdown(socket.SHUT_WR)
    print(json.dumps({"rounds": taken[1:], "sent": sent, "answered": answered}))


def arrays(rounds: str) -> None:
    import numpy as np

    array = np.random.default_rng(0).random(256 * MIB // 8)
    copy = np.empty_like(array)
    expected = (float(array[0]), float(array[-1]))
    with _entry_point("numpy") as entry_point:
        job = entry_point.load_resource("job")
        job.total(array[:10])  # imports numpy there

        def ends() -> float:
            taken, found = _timed(lambda: job.ends(array))
            assert found == expected
            return taken

        def total() -> float:
            taken, found = _timed(lambda: job.total(array))
            assert np.isclose(found, array.sum())
            return taken

        def copied() -> float:
            return _timed(lambda: np.copyto(copy, array))[0]

        def copied_and_summed() -> float:
            return copied() + _timed(array.sum)[0]

        first = ends(), copied()
        of_ends = [in_turns(number, ends, copied) for number in range(int(rounds))]
        of_total = [in_turns(number, total, copied_and_summed) for number in range(int(rounds))]
    print(json.dumps({"first": first, "ends": of_ends, "total": of_total}))


def environments(rounds: str, *names: str) -> None:
    made, started = [], []
    for _ in range(int(rounds) + 1):
        shutil.rmtree(Loc.environments, ignore_errors=True)
        made.append(_timed(lambda: environment_for(names))[0])
    file = _package(*names)
    for _ in range(int(rounds) + 1):
        taken, entry_point = _timed(lambda: _answering(file))
        started.append(1000 * taken)
        entry_point.unload()
    print(json.dumps({"made": made[1:], "started": started[1:]}))


def _answering(file: str) -> IsolatedEntryPoint:
    entry_point = install_package_and_get_loader(file, silent=True, isolated=True)
    assert entry_point.load_resource("job").run(1) == 1
    return entry_point


def _entry_point(*requirements: str) -> IsolatedEntryPoint:
    return install_package_and_get_loader(_package(*requirements), silent=True, isolated=True)


def _package(*requirements: str) -> str:
    packaging = Packaging("bench", "1.0.0", {"job": importlib.import_module("tg.bench.job").Job()})
    packaging.silent = True
    packaging.dependencies = (DependencyList("bench", list(requirements)),)
    return os.fspath(packaging.make_package().package_location)


def _sizes(call: Callable[[], Any]) -> tuple[int, int]:
    """How many bytes go through the socket for a call, there and back."""
    sizes: list[int] = []
    send, receive = Channel.send, Channel.receive

    def noted_send(self: Channel, packed: Packed) -> None:
        sizes.append(len(packed.data))
        send(self, packed)

    def noted_receive(self: Channel) -> Message:
        message = receive(self)
        sizes.append(12 + len(message.body.getbuffer()))  # type: ignore[attr-defined]
        return message

    Channel.send, Channel.receive = noted_send, noted_receive  # type: ignore[method-assign]
    try:
        call()
    finally:
        Channel.send, Channel.receive = send, receive  # type: ignore[method-assign]
    sent, answered = sizes
    return sent, answered


def _median(call: Callable[[], Any], number: int) -> float:
    return median(_timed(call)[0] for _ in range(number))


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    found = call()
    return time.perf_counter() - started, found


if __name__ == "__main__":
    {"calls": calls, "arrays": arrays, "environments": environments}[sys.argv[1]](*sys.argv[2:])
