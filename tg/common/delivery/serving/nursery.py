"""The nursery: a process that has the common heavy imports, and forks the server's workers.

A fork of it is ready in the time that a new interpreter takes to start, and shares the memory of what was imported before.
One is in the server's own environment; a package whose requirements conflict with that has one in an environment of its own.
It does nothing but this, in one thread, so that it can always be forked. Standard library alone.

A command is a datagram of JSON with the descriptors of the child that it is to start. What it tells is `imported`, `started`,
`not started` and `ended`. When the server is gone, its end of the socket is closed: the nursery ends, and all of its children with it.
"""

from __future__ import annotations

import faulthandler
import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

__all__ = ["main"]

_OURS = __name__.rpartition(".")[0]
_ROOM_BYTES = 64 * 1024


def main(control: int, preload: Sequence[str]) -> None:
    """Import `preload`, whatever of it is there, and fork until the other end of the socket `control` is closed."""
    connection = socket.socket(fileno=control)
    imported = [name for name in preload if _can_import(name)]
    gc.collect()
    gc.freeze()  # a collection in a fork would write into the pages that it shares
    awake, woken = socket.socketpair()
    for end in (awake, woken):
        end.setblocking(False)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _tell(connection, {"told": "imported", "names": imported})
    children: set[int] = set()
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(awake, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if awake.fileno() in ready:
            _drain(awake)
            _tell_ended(connection, children)
        if connection.fileno() in ready and not _command(connection, children, (awake, woken)):
            break
    for child in children:
        _kill(child)


def _command(connection: socket.socket, children: set[int], own: Sequence[socket.socket]) -> bool:
    text, descriptors, _, _ = socket.recv_fds(connection, _ROOM_BYTES, 8)
    if not text:
        return False
    # `recv_fds` does not ask for it, and what a job leaves behind would keep the channel open.
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    command = json.loads(text)
    try:
        child = os.fork()
        if child == 0:
            _be_child(command, descriptors, (connection, *own))
        children.add(child)
        told: dict[str, Any] = {"told": "started", "number": command["number"], "child": child}
    except OSError as error:  # too many processes, or too little memory: the next one may be luckier
        told = {"told": "not started", "number": command["number"], "reason": error.strerror}
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    _tell(connection, told)
    return True


def _be_child(command: dict[str, Any], descriptors: Sequence[int], not_its_own: Sequence[socket.socket]) -> None:
    """Run the program of a command, and end this process whatever comes of it."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()  # a group of its own: what it starts ends with it
        for end in not_its_own:
            end.close()
        channel, output, lifeline = descriptors
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        faulthandler.enable(2)
        _end_with_server(lifeline)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        gc.enable()
        program = importlib.import_module(command["program"])
        with socket.socket(fileno=channel) as connection:
            program.main(connection, **command["arguments"])
        status = 0
    except BaseException:  # noqa: BLE001 this is the top of the child
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def _end_with_server(lifeline: int) -> None:
    """Have the kernel kill this process and what it starts when the server is gone: code in C cannot delay it.

    fcntl(2), F_SETOWN and F_SETSIG: the signal is sent by whoever closes the last writing end of the pipe, the dying server.
    Where there is no such thing, the nursery kills its children when it sees that the server is gone.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([lifeline], [], [], 0)[0]:  # it was gone before
            os.killpg(0, signal.SIGKILL)


def _tell_ended(connection: socket.socket, children: set[int]) -> None:
    while children:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        if child in children:
            with suppress(OSError):
                os.killpg(child, signal.SIGKILL)  # what it has left behind
            children.remove(child)
            _tell(connection, {"told": "ended", "child": child, "status": os.waitstatus_to_exitcode(status)})


def _kill(child: int) -> None:
    for kill in (os.killpg, os.kill):  # the group is there only once the child has made it
        with suppress(OSError):
            kill(child, signal.SIGKILL)


def _tell(connection: socket.socket, facts: dict[str, Any]) -> None:
    with suppress(OSError):  # nobody listens any more: the next command says so
        connection.send(json.dumps(facts).encode())


def _drain(awake: socket.socket) -> None:
    try:
        while awake.recv(1024):
            pass
    except BlockingIOError:
        pass


def _can_import(name: str) -> bool:
    try:
        module = importlib.import_module(name)
        if name.startswith(_OURS):
            getattr(module, "prepare", bool)()
    except Exception:  # noqa: BLE001 it is a head start, and nobody needs it
        return False
    return True
