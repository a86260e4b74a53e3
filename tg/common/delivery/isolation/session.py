"""A session: the calls of one owner into one worker, one after the other, and the proxies that came of them.

The thread that calls sends the request and reads the answer itself; other threads wait for their turn. A call that is
interrupted (Ctrl-C, an exception raised by a signal handler) is given up in the worker, too. What interrupts the moment in
which an answer is taken in may leave it, or half of it, to the next call; then the worker is killed.
"""

from __future__ import annotations

import itertools
import logging
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..runtime.channel import PROTOCOL, Message, Packed
from ..runtime.crossing import Answer, Request
from ..runtime.errors import CallCancelled, IncompatiblePackage, RemoteError, UncrossableValue, WorkerEnded
from .interrupts import is_interrupt
from .owner_values import NotHere, OwnerIncoming, OwnerOutgoing
from .proxies import Proxies
from .worker_process import GRACE_SECONDS, WorkerProcess

__all__ = ["Session"]


class Session:
    """A worker in use. It ends with `end`, when nothing refers to it any more, or with this process."""

    def __init__(self, python: Path, folder: Path) -> None:
        """Start the worker of an installed package, whose folder `UID/` is given, with the Python of an environment.

        Raises `IncompatiblePackage` when the package speaks another protocol, `WorkerEnded` when it cannot be started.
        """
        self.module_name = folder.name
        self.resources_location = folder / "resources"
        self._process = WorkerProcess(python, folder)
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._running: _Call | None = None
        self._proxies = Proxies()
        self._loggers = logging.getLogger(), logging.getLogger("tg")
        self._answer_is_due = False
        self._ending: _Ending | None = None
        try:
            self._process.channel.wait()
            protocol = self._process.channel.greeting()
        except EOFError:
            raise self._worker_ended("while it was started") from None
        if protocol != PROTOCOL:
            self.end()
            raise IncompatiblePackage(
                f"{self.module_name} speaks protocol {protocol} with its owner, and this is {PROTOCOL}. Make it again with this "
                f"version of delivery.",
                path=folder,
            )

    @property
    def has_ended(self) -> bool:
        """Whether no call can be made any more."""
        if self._ending is not None or not self._process.is_here:
            return True
        if not self._lock.acquire(blocking=False):  # a call is running, which will tell
            return False
        try:
            return self._answer_is_due or self._process.channel.wait(0)  # nothing else comes when nothing was asked
        finally:
            self._lock.release()

    def call(self, action: str, target: int, name: str, arguments: tuple[Any, ...] = (), named: Any = None) -> Any:
        """Have the worker do something, and return what came of it; see `Worker` for the actions.

        Raises what the call raised, as it is where its class is known here; see `CallFailed` for the rest.
        """
        if not self._process.is_here:
            raise WorkerEnded(
                f"the worker of {self.module_name} belongs to the process that this one is a fork of. Install the package "
                f"here, too.",
                exit_code=None,
                stderr="",
            )
        with self._lock:
            if self._ending is not None:
                raise self._ending.error()
            if self._answer_is_due:
                self._process.kill()
                raise self._worker_ended("since a call before this one was interrupted in the middle of a message")
            call = self._running = _Call(next(self._numbers), name, self._running)
            try:
                answer = self._exchange(call, action, target, arguments, named or {})
            except BaseException:
                if self._answer_is_due and self._ending is None:  # the next call would take it for its own
                    self._process.kill()
                raise
            finally:
                self._running = call.outer
                call.ended.set()
        if answer.kind == "value":
            return answer.value
        raise self._error(answer, name) from (_RemoteTraceback(answer.traceback) if answer.traceback else None)

    def cancel(self) -> None:
        """End the call that is running, if there is one; it raises `CallCancelled` in its own thread.

        The package's code gets a `KeyboardInterrupt`. If that does not end the call within seconds, the worker is killed.
        """
        call = self._running
        if call is None or not self._process.is_here:
            return
        call.is_cancelled = True
        self._process.interrupt(call.number)
        if (
            call.thread == threading.get_ident()
        ):  # a signal handler's, or a log handler's: the call goes on when it returns
            threading.Thread(target=self._see_to_the_end, args=[call], name="tg-worker-cancel", daemon=True).start()
        else:
            self._see_to_the_end(call)

    def end(self) -> None:
        """End the worker; its proxies say so from then on. A call that is running is waited for."""
        if not self._process.is_here:
            return
        with self._lock:
            if self._ending is None:
                self._ending = _Ending(f"the worker of {self.module_name} was ended, as somebody asked for.", None, "")
            self._process.end()

    def _see_to_the_end(self, call: _Call) -> None:
        """Wait for the end of a call that was cancelled; one that does not come to it ends with its worker."""
        if not call.ended.wait(GRACE_SECONDS):
            self._process.kill()
            call.ended.wait()

    def _exchange(self, call: _Call, action: str, target: int, arguments: tuple[Any, ...], named: Any) -> Answer:
        try:
            packed, let_go = self._pack(call, action, target, arguments, named)
            try:
                self._ask(packed)
            except EOFError:
                raise
            except BaseException:  # sent as a whole, or, in a moment that is hardly ever met, not at all
                self._give_up(call)
                raise
            answer = self._answer(call)
            if answer.kind == "unread":
                self._proxies.were_not_told(let_go)
            return answer
        except EOFError:
            ended = self._worker_ended(f"while {call.name} was running")
            if call.is_cancelled:
                raise CallCancelled(
                    f"{call.name} of {self.module_name} was cancelled. It did not react, and so its worker was ended."
                ) from None
            raise ended from None
        finally:
            self._process.output.take_in()

    def _pack(
        self, call: _Call, action: str, target: int, arguments: tuple[Any, ...] = (), named: Any = None
    ) -> tuple[Packed, list[tuple[int, int]]]:
        """A request ready to be sent, and which proxies it says are gone."""
        let_go = self._proxies.take_let_go()
        root, tg = self._loggers
        levels = root.level, tg.level
        request = Request(call.number, action, target, call.name, arguments, named or {}, let_go, levels, call.within())
        try:
            packed = OwnerOutgoing(self).pack(tuple(request), self._process.channel)
        except BaseException as error:
            self._proxies.were_not_told(let_go)
            refused = self._refused_argument(arguments, named) if isinstance(error, Exception) else None
            if refused is None:  # a signal's exception
                raise
            raise refused from error
        return packed, let_go

    def _ask(self, packed: Packed) -> None:
        self._answer_is_due = True
        self._process.channel.send(packed)
        self._process.channel.wait()

    def _receive(self) -> Message:
        message = self._process.channel.receive()
        self._answer_is_due = False
        return message

    def _give_up(self, call: _Call) -> None:
        """End a call that was interrupted here, in the worker as well."""
        self._process.interrupt(call.number)
        try:
            if self._process.channel.wait(GRACE_SECONDS):
                with suppress(UncrossableValue):
                    self._answer(call)
                return
            self._process.kill()
        except EOFError:
            pass
        self._worker_ended(f"after {call.name} was interrupted")

    def _answer(self, call: _Call) -> Answer:
        """Take in the answer; the worker is asked again for one that can be read, without what cannot be imported here."""
        asked: set[str] = set()
        problem: BaseException | None = None
        while True:
            message = self._receive()
            read: list[int] = []
            try:
                with message.body as file:
                    answer = Answer(*OwnerIncoming(message, file, self, self._proxies, read).load())
            except NotHere as error:
                missing, problem = error.module, error.__cause__ or error
            except Exception as error:  # noqa: BLE001 what unpickling raises, which is told unless there is a way around it
                missing, problem = "", error
            else:
                if problem is not None and is_interrupt(problem):
                    raise problem
                if problem is not None and answer.kind == "refused":
                    raise self._unreadable(call, problem) from problem
                return answer
            if missing in asked:
                missing = ""
            if "" in asked:
                raise self._unreadable(call, problem) from problem
            asked.add(missing)
            packed, _ = self._pack(_Call(call.number, missing, call.outer), "again", 0, (len(read),))
            self._ask(packed)

    def _unreadable(self, call: _Call, error: BaseException) -> UncrossableValue:
        return UncrossableValue(
            f"what came of {call.name} of {self.module_name} cannot be read here: {type(error).__name__}: {error}. "
            f"The two sides may have different versions of what it is of; return plain values."
        )

    def _error(self, answer: Answer, name: str) -> BaseException:
        """What a call raises here."""
        if answer.kind == "raised":
            assert isinstance(answer.value, BaseException)
            if (
                isinstance(answer.value, ModuleNotFoundError)
                and answer.value.msg == f"No module named {answer.value.name!r}"
            ):
                answer.value.msg += (
                    f", where {self.module_name} is at work: that environment has the dependencies of the package and nothing else. "
                    f"Declare what brings it, or make the package with dependencies='auto'."
                )
            return answer.value
        if answer.kind == "failed":
            return RemoteError(
                f"{name} of {self.module_name} raised {answer.error_type}: {answer.message}",
                error_type=answer.error_type,
                traceback=answer.traceback,
                error=answer.value,
            )
        if answer.kind == "cancelled":
            return CallCancelled(f"{name} of {self.module_name} was cancelled.")
        return UncrossableValue(
            f"{name} of {self.module_name}: {answer.message}. Give and return plain values, or what both sides have."
        )

    def _refused_argument(self, arguments: tuple[Any, ...], named: Any) -> UncrossableValue | None:
        """The error that names the argument which cannot be pickled."""
        for place, value in [*enumerate(arguments, 1), *(named or {}).items()]:
            try:
                OwnerOutgoing(self).dump(value)
            except Exception as problem:  # noqa: BLE001 this is what is looked for
                which = f"argument {place}" if isinstance(place, int) else f"argument {place!r}"
                return UncrossableValue(
                    f"{which}, of {type(value)}, cannot be sent to the worker of {self.module_name}: {problem}. Give it "
                    f"something that can be pickled: a list instead of a generator, a name instead of an open file."
                )
        return None

    def _worker_ended(self, when: str) -> WorkerEnded:
        code = self._process.wait()
        how = "was killed" if self._process.was_killed else f"ended by {_how(code)}"
        self._ending = _Ending(
            f"the worker of {self.module_name} {how} {when}.",
            code,
            self._process.output.last_lines_of_errors(),
        )
        self._process.end()
        return self._ending.error()


class _Ending(NamedTuple):
    """How the worker ended, for each call that comes afterwards."""

    what: str
    exit_code: int | None
    stderr: str

    def error(self) -> WorkerEnded:
        text = f"{self.what} load_resource of the entry point starts another."
        if self.stderr:
            text = f"{text} The end of its standard error:\n{self.stderr}"
        return WorkerEnded(text, exit_code=self.exit_code, stderr=self.stderr)


class _Call:
    """One call, for those who wait for it or cancel it."""

    def __init__(self, number: int, name: str, outer: _Call | None) -> None:
        self.number = number
        self.name = name
        self.outer = outer
        self.thread = threading.get_ident()
        self.ended = threading.Event()
        self.is_cancelled = False

    def within(self) -> tuple[int, ...]:
        """The numbers of the calls that it is made within."""
        return () if self.outer is None else (self.outer.number, *self.outer.within())


class _RemoteTraceback(Exception):
    """The cause of what a call raised: the traceback of the worker, as text; `concurrent.futures` does the same."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def _how(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name}, which is also how the system ends what takes too much memory," if name == "SIGKILL" else name
