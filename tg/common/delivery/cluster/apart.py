"""Work in an environment of its own: a process of the node that has what the package requires and no more.

One for each thread of the worker and each version, kept for the tasks that follow. It reads orders from its standard input and
writes what it says and answers to a pipe; it ends when the pipe's other end is closed, with the worker at the latest.
"""

from __future__ import annotations

import atexit
import os
import pickle
import select
import struct
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ...locations import Loc
from ..delivery.package_locks import lock_of
from ..delivery.store import InstalledPackage
from ..environments.environment import environment_for, python_of
from ..runtime.errors import WorkerEnded
from ..runtime.whole_files import make_private_folder, one_at_a_time
from .giving_up import GivenUp
from .order import Order

__all__ = ["ANSWER", "HEADER", "SAID", "work_apart"]

HEADER = struct.Struct(">cQ")
SAID, ANSWER = b"s", b"a"
"""The first byte of what is written: text that a task says, or its answer. Its length follows."""
_ASK_SECONDS = 0.2
_KEPT = 4

_PROGRAM = """\
import importlib, sys
sys.path.append(sys.argv[1])
importlib.import_module(sys.argv[2]).serve(int(sys.argv[3]))
"""


def work_apart(
    order: Order,
    items: bytes,
    package: InstalledPackage,
    *,
    wanted: Callable[[], bool] | None,
    tell: Callable[[str], None],
) -> bytes:
    """See `work`. Raises `DependencyProblem` when the requirements cannot be had together, `WorkerEnded`, `GivenUp`."""
    process = _process_for(package)
    try:
        return process.ask(order, items, wanted, tell)
    except BaseException:
        _forget(process)
        raise


class _Process:
    """A process of one environment."""

    def __init__(self, package: InstalledPackage) -> None:
        lock = lock_of(package.facts, package.folder)
        folder = Loc.cluster
        make_private_folder(folder)
        with one_at_a_time(folder, f"environment-{package.seal}"):  # its workers would all download the same
            python = python_of(environment_for(package.facts.requirements(), lock))
        reading, writing = os.pipe()
        try:
            place = Path(__file__).parents[__name__.count(".")]  # the folder that this delivery can be imported from
            name = f"{__package__}.apart_worker"
            self._popen = subprocess.Popen(
                [str(python), "-I", "-c", _PROGRAM, str(place), name, str(writing)],
                stdin=subprocess.PIPE,
                pass_fds=(writing,),
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._reading: IO[bytes] = os.fdopen(reading, "rb", buffering=0)
        self.module_name = package.module_name

    def ask(
        self,
        order: Order,
        items: bytes,
        wanted: Callable[[], bool] | None,
        tell: Callable[[str], None],
    ) -> bytes:
        """Have it do an order."""
        stdin = self._popen.stdin
        assert stdin is not None
        try:
            pickle.dump((order.to_bytes(), items), stdin, protocol=5)
            stdin.flush()
            while True:
                while wanted is not None and not select.select([self._reading], [], [], _ASK_SECONDS)[0]:
                    if not wanted():
                        raise GivenUp
                kind, length = HEADER.unpack(self._exactly(HEADER.size))
                data = self._exactly(length)
                if kind == ANSWER:
                    return data
                tell(data.decode("utf-8", "replace"))
        except (BrokenPipeError, EOFError):
            code = self._popen.wait()
            raise WorkerEnded(
                f"the process of {self.module_name} in an environment of its own ended with status {code} meanwhile.",
                exit_code=code,
                stderr="",
            ) from None

    def end(self) -> None:
        """End it at once."""
        self._popen.kill()
        self._popen.wait()
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        self._reading.close()

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._reading.read(min(length, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


_processes: OrderedDict[tuple[int, str], _Process] = OrderedDict()
_lock = threading.Lock()


def _process_for(package: InstalledPackage) -> _Process:
    """The process of this thread for a package; of each thread the last few are kept."""
    thread = threading.get_ident()
    key = thread, package.seal
    with _lock:
        found = _processes.get(key)
    if found is None:
        found = _Process(package)
        with _lock:
            if not _processes:
                atexit.register(_end_all)
            _processes[key] = found
            mine = [one for one in _processes if one[0] == thread]
            ending = [_processes.pop(one) for one in mine[:-_KEPT]]
        for one in ending:
            one.end()
    with _lock:
        _processes.move_to_end(key)
    return found


def _forget(process: _Process) -> None:
    with _lock:
        for key in [key for key, one in _processes.items() if one is process]:
            del _processes[key]
    process.end()


def _end_all() -> None:
    with _lock:
        ending = list(_processes.values())
        _processes.clear()
    for one in ending:
        one.end()
