"""The worker: a package at work in a process of its own, for the process that has started it, its owner.

It does one call after the other, in its main thread, so that what a job does with signals and event loops works there.

1. It ends when its owner closes the channel, as a program ends.
2. It ends with its owner, however that ends and whatever it does itself at the time: the owner's end of a pipe, the
   *lifeline*, closes, and the kernel kills the worker's process group. Code in C that holds the interpreter cannot delay it.
3. A call is cancelled by SIGINT: the number of the call is in a pipe, so a signal that comes too late ends no other call.
"""

from __future__ import annotations

import faulthandler
import fcntl
import logging
import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from .channel import Channel, Message
from .crossing import CALL_NUMBER_BYTES, Answer, Request
from .entry_point import EntryPoint
from .held_objects import HeldObjects
from .roots import Roots, roots_in
from .running import failure_of
from .telling import Telling
from .worker_values import Kept, NotHere, Staying, WorkerIncoming, WorkerOutgoing

__all__ = ["Worker", "main"]


def main(folder: str, channel: int, telling: int, lifeline: int, cancelling: int) -> None:
    """Serve the package whose folder `UID/` is given until the owner is gone; the rest are file descriptors."""
    for fd in (channel, telling, lifeline, cancelling):
        os.set_inheritable(fd, False)
    _die_with_owner(lifeline)
    faulthandler.enable(2)
    connection = socket.socket(fileno=channel)
    # A fork must not keep up what its parent has of the owner.
    os.register_at_fork(after_in_child=connection.close)
    told = Telling(socket.socket(fileno=telling))
    told.take_over()
    end = Channel(connection)
    end.greet()
    os.set_blocking(cancelling, False)
    Worker(Path(folder), end, told, cancelling).serve()


class Worker:
    """Answers requests. `action` names one of the public methods, which take target, name and arguments; or it is `again`."""

    def __init__(self, folder: Path, channel: Channel, telling: Telling, cancelling: int) -> None:
        self._channel = channel
        self._telling = telling
        self._cancelling = cancelling
        self._entry_point = EntryPoint.of_folder(folder)
        self._module_name = self._entry_point.module_name
        self._roots = Roots.of(roots_in(folder), "")
        self._objects = HeldObjects(self._entry_point)
        self._staying = Staying(self._module_name, self._objects)
        self._running: int | None = None
        self._given_up = 0
        self._cancelled = False
        self._answered: dict[int, _Answered] = {}
        self._process = os.getpid()

    def serve(self) -> None:
        """Answer one request after the other, until the channel is closed."""
        signal.signal(signal.SIGINT, self._interrupted)
        try:
            while True:
                # No name here refers to what was given: it is let go before the answer, which says so.
                self._send(*self._answer(self._channel.receive()))
        except EOFError:
            return

    def call(self, target: Any, name: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a method, whose parameters may be called `target` and `name` as well."""
        return getattr(target, name)(*arguments, **named)

    def special(self, target: Any, name: str, /, *arguments: Any, **named: Any) -> Any:
        """Call a special method, which is looked up in the class."""
        return getattr(type(target), name)(target, *arguments, **named)

    def get(self, target: Any, name: str) -> Any:
        """Read an attribute; a dotted name is one of a method."""
        for part in name.split("."):
            target = getattr(target, part)
        return target

    def set(self, target: Any, name: str, value: Any) -> None:
        """Write an attribute."""
        setattr(target, name, value)

    def delete(self, target: Any, name: str) -> None:
        """Delete an attribute."""
        delattr(target, name)

    def load(self, target: Any, name: str) -> Any:
        """Load a resource: plain data are sent, anything that does something stays."""
        value = self._entry_point.load_resource(name)
        return value if _is_data(value) else Kept(value)

    def classes(self, target: Any, name: str) -> list[tuple[str, str]]:
        """The modules and names of an object's class and of those above it."""
        return [(one.__module__, one.__qualname__) for one in type(target).__mro__]

    def keep(self, target: Any, name: str, value: Any) -> Any:
        """Hold an object here, whatever it is."""
        return Kept(value)

    def _answer(self, message: Message) -> tuple[int, Answer]:
        """The number of a request, and what came of it."""
        self._cancelled = False
        try:
            with message.body as file:
                values = WorkerIncoming(message, file, self._objects, self._module_name, self._roots)
                request = Request(*values.load())
        except NotHere as error:
            return 0, Answer("unread", message=str(error))
        except Exception as error:  # noqa: BLE001 the edge of a call: what unpickling an argument raises is told
            return 0, Answer("unread", message=f"an argument cannot be read there: {type(error).__name__}: {error}")
        self._objects.let_go(request.let_go)
        if self._answered:
            may_ask_again = (request.number, *request.outer)
            self._answered = {number: one for number, one in self._answered.items() if number in may_ask_again}
        if request.action == "again":
            return request.number, self._again(request.number, request.name, *request.arguments)
        _set_levels(*request.levels)
        try:
            value = self._perform(request)
            if os.getpid() != self._process:
                raise SystemExit
        except BaseException as error:
            if os.getpid() != self._process:  # a fork that the job has made, and that has no owner, ends as programs do
                raise
            return request.number, self._failure(error)
        return request.number, Answer("value", value)

    def _again(self, number: int, module: str, read: int) -> Answer:
        """An answer once more, in a form that the owner can read; it had read so many of the references in it."""
        answered: _Answered = self._answered.pop(number, _Answered(None, []))
        self._objects.let_go((one, 1) for one in answered.sent[read:])
        answer: Answer | None = answered.answer
        if module:
            self._staying.owner_lacks(module)
        if answer is not None and answer.kind == "raised":
            return answer if module and not self._staying.stays(type(answer.value)) else _failed(answer)
        if answer is None or not module:
            return Answer("refused", message="what came of the call cannot be read")
        return answer

    def _perform(self, request: Request) -> Any:
        target = self._objects.look_up(request.target)
        action = getattr(self, request.action)
        try:
            self._running = request.number
            if self._given_up == request.number:  # while its arguments were read
                self._cancelled = True
                raise KeyboardInterrupt
            return action(target, request.name, *request.arguments, **request.named)
        finally:
            self._running = None  # from here on the call is not interrupted any more

    def _failure(self, error: BaseException) -> Answer:
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_globals.get("__name__") == __name__:
            frames = frames.tb_next
        told = failure_of(error.with_traceback(frames))
        error.with_traceback(None)  # what was given is not kept for it
        answer = Answer("raised", error, told["type"], told["message"], told["traceback"])
        if self._cancelled:
            return answer._replace(kind="cancelled", value=None)
        if self._staying.stays(type(error)) or not _can_be_made_again(error):
            return _failed(answer)
        return answer

    def _send(self, number: int, answer: Answer) -> None:
        self._telling.flush()
        values = WorkerOutgoing(self._staying)
        try:
            packed = values.pack(tuple(answer), self._channel)
        except Exception as error:  # noqa: BLE001 the edge of a call: what pickling raises is told
            text = f"what came of the call cannot be sent: {type(error).__name__}: {error}"
            answer, values = Answer("refused", message=text), WorkerOutgoing(self._staying)
            packed = values.pack(tuple(answer), self._channel)
        self._channel.send(packed)
        # The owner may find that it cannot import or make what it got, and ask again.
        is_kept = self._staying.has_sent_new_classes() or answer.kind == "raised"
        if is_kept or values.sent:
            self._answered[number] = _Answered(answer if is_kept else None, values.sent)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        try:
            asked = os.read(self._cancelling, 1024)[-CALL_NUMBER_BYTES:]
        except BlockingIOError:  # somebody else's signal
            return
        self._given_up = int.from_bytes(asked, "little")
        if self._given_up == self._running:
            self._cancelled = True
            raise KeyboardInterrupt


class _Answered(NamedTuple):
    """What was sent: the answer, where it can be sent in another form, and the numbers of the objects it refers to."""

    answer: Answer | None
    sent: list[int]


def _failed(answer: Answer) -> Answer:
    """The answer that tells of an exception which stays here, in the place of one that sends it."""
    return answer._replace(kind="failed", value=Kept(answer.value))


def _die_with_owner(lifeline: int) -> None:
    if sys.platform == "linux":
        # fcntl(2), F_SETOWN and F_SETSIG: the signal is sent by whoever closes the last writing end, the dying owner.
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([lifeline], [], [], 0)[0]:  # it was gone before
            os.killpg(0, signal.SIGKILL)
        return

    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="tg-lifeline", daemon=True).start()


def _set_levels(root: int, tg: int) -> None:
    """What the owner would not show is not sent. Where it has not set that of `tg`, it is what the worker's `Logger` sets."""
    for logger, level, is_set in (
        (logging.getLogger(), root, True),
        (logging.getLogger("tg"), tg, tg != logging.NOTSET),
    ):
        if is_set and logger.level != level:
            logger.setLevel(level)


def _is_data(value: Any) -> bool:
    """Whether a resource is a value of Python's own types that does nothing, or an array."""
    kind = type(value)
    if hasattr(kind, "__array_interface__"):
        return True
    return kind.__module__.partition(".")[0] in sys.stdlib_module_names and not callable(value)


def _can_be_made_again(error: BaseException) -> bool:
    """Whether an exception survives pickling: one whose class wants other arguments than it keeps does not."""
    try:
        reduced = error.__reduce_ex__(5)
        return not isinstance(reduced, str) and type(reduced[0](*reduced[1])) is type(error)
    except Exception:  # noqa: BLE001 whatever it has against it
        return False
