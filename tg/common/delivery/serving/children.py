"""The children of a server: processes forked by a nursery, as the server has them. One nursery for each interpreter in use."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..environments.environment import environment_for
from ..runtime.errors import WorkerEnded

__all__ = ["Child", "Nurseries"]

_TREE = Path(__file__).resolve().parents[3]
_AT_ONCE = 32
"""So many starts are asked for and not told yet: a socket takes some hundred commands, and then no more."""
_ROOM_BYTES = 64 * 1024
_SUPPORT = ("pydantic>=2.7",)

# In an environment of a package's own, `tg` is this tree and nothing else is found where this tree lies; what the workers
# need besides the standard library comes last on the path, so that the package's own requirements are found before it.
_PROGRAM = """\
import sys, types
tree, support, control, *preload = sys.argv[1:]
package = types.ModuleType("tg")
package.__path__ = [tree]
sys.modules["tg"] = package
if support:
    sys.path.append(support)
from tg.common.delivery.serving.nursery import main
main(int(control), preload)
"""
_NEEDED = ("tg.common.delivery.serving.worker",)
_NEEDED_BY_SERVER = ("tg.common.delivery.serving.installation", "packaging.requirements")


class Child:
    """One process. `channel` is the server's end of its socket, `output` what it writes to stdout and stderr.

    `lifeline` is a pipe that nobody writes to: when the server closes it, or ends, the kernel kills the process and its group.
    """

    def __init__(self, channel: socket.socket, output: int, lifeline: int) -> None:
        self.channel = channel
        self.output = output
        self._lifeline: int | None = lifeline
        self.number = 0
        """Its process id."""
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        """Its exit status, or the signal that ended it, below zero; `None` where nobody can tell any more."""

    def kill(self) -> None:
        """End it at once, and what it has started."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def close(self) -> None:
        """Let go of it: it has ended."""
        self.kill()
        os.close(self.output)


class Nurseries:
    """Starts children; a nursery that is not there yet, or not any more, is started first."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._preload = tuple(preload)
        self._nurseries: dict[str, _Nursery] = {}
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._is_closed = False

    async def open(self, python: str = sys.executable) -> _Nursery:
        """See to it that there is a nursery with that interpreter: starting the first child takes no longer than the next then."""
        async with self._opening[python]:  # making an environment for one keeps the others waiting for nothing
            if self._is_closed:
                raise WorkerEnded("the server is ending.", exit_code=None, stderr="")
            nursery = self._nurseries.get(python)
            if nursery is None or nursery.is_gone:
                nursery = self._nurseries[python] = await self._new(python)
            return nursery

    async def start(self, program: str, arguments: Mapping[str, Any], *, python: str = sys.executable) -> Child:
        """Start a program, the function `main` of a module, with an interpreter. Raises `WorkerEnded`."""
        nursery = await self.open(python)
        return await nursery.start(program, arguments)

    def let_go(self, pythons: set[str]) -> None:
        """End the nurseries of interpreters that are not used any more."""
        for python in set(self._nurseries) - pythons - {sys.executable}:
            self._nurseries.pop(python).let_go()

    def close(self) -> None:
        """End all nurseries, and their children with them; there are no others from then on."""
        self._is_closed = True
        for nursery in self._nurseries.values():
            nursery.close()
        self._nurseries.clear()

    async def _new(self, python: str) -> _Nursery:
        own = python == sys.executable
        support = "" if own else await asyncio.to_thread(_support_for, python)
        preload = (*_NEEDED, *(_NEEDED_BY_SERVER if own else ()), *self._preload)
        nursery = _Nursery(python, support, preload)
        try:
            await asyncio.shield(nursery.imported)
        except BaseException:
            nursery.let_go()
            raise
        return nursery


class _Nursery:
    """The process that forks, and what it tells."""

    def __init__(self, python: str, support: str, preload: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            isolated = () if python == sys.executable else ("-I",)
            command = [python, *isolated, "-c", _PROGRAM, str(_TREE), support, str(theirs.fileno()), *preload]
            # A session of its own: Ctrl-C in a terminal is the server's, which lets its workers finish.
            try:
                self._process = subprocess.Popen(
                    command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
                )
            except OSError as error:
                ours.close()
                raise WorkerEnded(
                    f"{python} cannot be started: {error.strerror}.", exit_code=None, stderr=""
                ) from error
        self._control = ours
        self._numbers = itertools.count(1)
        self._children: dict[int, Child] = {}
        self._waiting: dict[int, Child] = {}
        self._starts = asyncio.Semaphore(_AT_ONCE)
        self.is_gone = False
        self.imported: asyncio.Future[list[str]] = loop.create_future()
        loop.add_reader(ours.fileno(), self._told)

    async def start(self, program: str, arguments: Mapping[str, Any]) -> Child:
        """Fork a child and tell it what to run."""
        async with self._starts:
            return await self._start(program, arguments)

    async def _start(self, program: str, arguments: Mapping[str, Any]) -> Child:
        ours, theirs = socket.socketpair()
        with ExitStack() as undo:  # this process may have no room for more open files
            undo.callback(ours.close)
            undo.callback(theirs.close)
            output, writing = os.pipe()
            undo.callback(os.close, output)
            undo.callback(os.close, writing)
            waiting, lifeline = os.pipe()
            undo.pop_all()
        os.set_blocking(output, False)
        child = Child(ours, output, lifeline)
        number = next(self._numbers)
        self._waiting[number] = child
        command = {"number": number, "program": program, "arguments": dict(arguments)}
        try:
            self._send(command, [theirs.fileno(), writing, waiting])
            await child.started
        except BaseException:
            ours.close()
            child.close()
            raise
        finally:
            theirs.close()
            os.close(writing)
            os.close(waiting)
        return child

    def let_go(self) -> None:
        """End it, with its children, and wait for nothing."""
        if self.is_gone:
            return
        self._lost()
        asyncio.get_running_loop().run_in_executor(None, self._process.wait)

    def close(self) -> None:
        """End it, with its children."""
        self._lost()
        self._process.wait()

    def _send(self, command: Mapping[str, Any], descriptors: Sequence[int]) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(command).encode()], descriptors)
        except (OSError, ValueError) as error:
            self.let_go()
            raise WorkerEnded(
                "the process that starts workers has ended. Try again.", exit_code=None, stderr=""
            ) from error

    def _told(self) -> None:
        while not self.is_gone:
            try:
                text = self._control.recv(_ROOM_BYTES)
            except BlockingIOError:
                return
            except OSError:
                text = b""
            if not text:
                return self.let_go()
            self._take_in(json.loads(text))

    def _take_in(self, told: Mapping[str, Any]) -> None:
        if told["told"] == "imported":
            self.imported.set_result(told["names"])
        elif told["told"] == "started":
            child = self._waiting.pop(told["number"])
            child.number = told["child"]
            self._children[child.number] = child
            if not child.started.done():
                child.started.set_result(None)
        elif told["told"] == "not started":
            child = self._waiting.pop(told["number"])
            if not child.started.done():
                child.started.set_exception(
                    WorkerEnded(f"no process can be started: {told['reason']}.", exit_code=None, stderr="")
                )
        elif told["told"] == "ended":
            child = self._children.pop(told["child"])
            if not child.ended.done():
                child.ended.set_result(told["status"])

    def _lost(self) -> None:
        """It is gone: its children go by themselves, when their sockets are closed or their work is done."""
        if self.is_gone:
            return
        self.is_gone = True
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        error = WorkerEnded("the process that starts workers has ended. Try again.", exit_code=None, stderr="")
        if not self.imported.done():
            # It has no children yet, and would see only after its imports that nobody is there.
            self._process.kill()
        futures: list[asyncio.Future[Any]] = [self.imported, *(child.started for child in self._waiting.values())]
        for future in futures:
            if not future.done():
                future.set_exception(error)
                future.exception()  # who waited may have been cancelled
        for child in self._children.values():
            if not child.ended.done():
                child.ended.set_result(None)


def _support_for(python: str) -> str:
    """The folder with what workers need besides the standard library, for the interpreter of an environment."""
    folder = environment_for(_SUPPORT, python=python)
    return str(next((folder / "lib").glob("python3*/site-packages")))
