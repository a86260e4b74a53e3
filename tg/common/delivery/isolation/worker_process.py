"""The process of a worker, as its owner has it: started, interrupted, ended, and how it ended.

The worker leads a process group of its own, so that Ctrl-C in a terminal is its owner's alone, and what a job has started ends
with it. A fork of the owner has no worker: its copies of the ends are closed, or the worker would outlive its owner.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path
from typing import ClassVar

from ..runtime.channel import Channel
from ..runtime.crossing import CALL_NUMBER_BYTES
from .output import Output

__all__ = ["GRACE_SECONDS", "WorkerProcess"]

GRACE_SECONDS = 5.0
"""How long a worker has to do what it is asked, to end or to give up a call, before it is killed."""

# With -I, neither the folder that the owner runs in nor PYTHONPATH is searched; `python -m` would do that before 3.11.
_PROGRAM = """\
import importlib, sys
store, module, *descriptors = sys.argv[1:]
sys.path.append(store)
worker = importlib.import_module(f"{module}.tg.common.delivery.runtime.worker")
worker.main(f"{store}/{module}", *map(int, descriptors))
"""
_DATAGRAMS = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
_NOT_KEPT = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV")


class WorkerProcess:
    """One worker; it ends when nothing refers to this any more, or its owner ends."""

    _of_this_process: ClassVar[weakref.WeakSet[WorkerProcess] | None] = None

    def __init__(self, python: Path, folder: Path) -> None:
        """Start it, with the Python of an environment and the installed package's folder `UID/`."""
        with ExitStack() as stack, ExitStack() as given:
            ours, theirs = socket.socketpair()
            stack.callback(ours.close)
            given.callback(theirs.close)
            told, telling = socket.socketpair(socket.AF_UNIX, _DATAGRAMS)
            stack.callback(told.close)
            given.callback(telling.close)
            lifeline, self._lifeline = _pipe()
            stack.callback(self._lifeline.close)
            given.callback(os.close, lifeline)
            cancelling, self._cancelling = _pipe()
            stack.callback(self._cancelling.close)
            given.callback(os.close, cancelling)
            descriptors = (theirs.fileno(), telling.fileno(), lifeline, cancelling)
            self._popen = subprocess.Popen(
                [str(python), "-I", "-c", _PROGRAM, str(folder.parent), folder.name, *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=descriptors,
                start_new_session=True,
                env=_environment(folder.parent),
            )
            stack.pop_all()
        assert self._popen.stdout is not None and self._popen.stderr is not None
        self._owner = os.getpid()
        self.was_killed = False
        self.channel = Channel(ours)
        self.output = Output(told, os.dup(self._popen.stdout.fileno()), os.dup(self._popen.stderr.fileno()))
        self._popen.stdout.close()
        self._popen.stderr.close()
        self._end = weakref.finalize(
            self, _end, self._popen, self.channel, self.output, (self._lifeline, self._cancelling), self._owner
        )
        if WorkerProcess._of_this_process is None:
            WorkerProcess._of_this_process = weakref.WeakSet()
            os.register_at_fork(after_in_child=WorkerProcess._forget_all)
        WorkerProcess._of_this_process.add(self)

    @property
    def is_here(self) -> bool:
        """Whether this process has started it; a fork of it has not."""
        return self._owner == os.getpid()

    def interrupt(self, number: int) -> None:
        """Let it give up the call of that number."""
        with suppress(OSError, ValueError):  # it has ended, or is closed already
            self._cancelling.write(number.to_bytes(CALL_NUMBER_BYTES, "little"))
            if self._popen.returncode is None:
                os.kill(self._popen.pid, signal.SIGINT)

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        self.was_killed = True
        if self._popen.returncode is None:  # afterwards the number may be another's
            with suppress(OSError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit status, or the signal that ended it, below zero; one that does not end is killed."""
        code = _wait(self._popen)
        self.output.take_in()
        return code

    def end(self) -> None:
        """Let it end, and wait for that."""
        self._end()

    @staticmethod
    def _forget_all() -> None:
        # Each is closed by what knows whether it is open: the numbers of one that has ended are those of other files now.
        for worker in list(WorkerProcess._of_this_process or ()):
            worker._end.detach()
            worker.channel.close()
            worker.output.drop()
            worker._lifeline.close()
            worker._cancelling.close()
            worker._popen.returncode = 0  # it is not a child of this process, which must not wait for it


def _environment(store: Path) -> dict[str, str]:
    """What the owner has, but for what its Python is told: the worker's children find the package as it does."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_KEPT}
    return {**kept, "PYTHONPATH": str(store), "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}


def _pipe() -> tuple[int, FileIO]:
    """A pipe: the end for the worker, and the one that is written here."""
    theirs, ours = os.pipe()
    return theirs, FileIO(ours, "wb")


def _end(popen: subprocess.Popen[bytes], channel: Channel, output: Output, pipes: Sequence[FileIO], owner: int) -> None:
    if os.getpid() != owner:
        return
    with ExitStack() as stack:  # all of it, whatever interrupts a part
        for pipe in pipes:
            stack.callback(pipe.close)
        stack.callback(output.close)
        stack.callback(_wait, popen)
        channel.close()


def _wait(popen: subprocess.Popen[bytes]) -> int:
    """Nothing else asks for its exit status: from then on its number may be that of somebody else's group."""
    if popen.returncode is not None:
        return popen.returncode
    try:
        code = popen.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(OSError):
            os.killpg(popen.pid, signal.SIGKILL)
        code = popen.wait()
    # What it has started and left: the number is no other group's while one of them is there.
    with suppress(OSError):
        os.killpg(popen.pid, signal.SIGKILL)
    return code
