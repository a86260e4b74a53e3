"""Calls that are given up: by Ctrl-C in the thread that waits, or by `cancel` from another."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint
from tg.common.delivery.runtime.errors import CallCancelled, WorkerEnded

Isolate = Callable[..., IsolatedEntryPoint]

PATIENT = """
import time
from pathlib import Path

class Job:
    def wait(self, begun, ended):
        try:
            Path(begun).touch()
            time.sleep(600)
        finally:
            Path(ended).touch()

    def compute(self, begun):
        Path(begun).touch()
        while True:
            sum(range(1000))

    def ignore(self, begun):
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Path(begun).touch()
        time.sleep(600)

    def swallow(self, begun):
        try:
            self.wait(begun, begun)
        except KeyboardInterrupt:
            return "as far as it came"

    def run(self):
        return "one"
"""


WhenThere = Callable[[Path, Callable[[], None]], threading.Thread]


@pytest.fixture
def when_there() -> Iterator[WhenThere]:
    """In a thread of its own, do something as soon as a file is there; nothing is done when the test is over before that."""
    over = threading.Event()
    threads = []

    def when_there(file: Path, do: Callable[[], None]) -> threading.Thread:
        def wait() -> None:
            try:
                until(lambda: file.exists() or over.is_set())
            finally:  # a call that does not begin is given up as well
                if not over.is_set():
                    do()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()
        return threads[-1]

    yield when_there
    over.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    return tmp_path / "begun"


@pytest.fixture
def entry_point(isolate: Isolate) -> IsolatedEntryPoint:
    return isolate(PATIENT)


@pytest.fixture
def job(entry_point: IsolatedEntryPoint) -> Any:
    return entry_point.load_resource("job")


def test_cancel_ends_the_running_call_and_its_cleaning_up_runs(
    entry_point: IsolatedEntryPoint, job: Any, begun: Path, tmp_path: Path, when_there: WhenThere
) -> None:
    thread = when_there(begun, entry_point.cancel)
    with pytest.raises(CallCancelled, match="wait of my_job__1_0_0 was cancelled") as raised:
        job.wait(begun, tmp_path / "ended")
    assert "time.sleep" in str(raised.value.__cause__)
    assert (tmp_path / "ended").exists()
    thread.join()


def test_after_a_call_was_cancelled_the_worker_is_as_it_was(
    entry_point: IsolatedEntryPoint, job: Any, begun: Path, when_there: WhenThere
) -> None:
    for _ in range(3):
        thread = when_there(begun, entry_point.cancel)
        with pytest.raises(CallCancelled):
            job.compute(begun)
        thread.join()
        begun.unlink()
        assert job.run() == "one"


class _When:
    """Calls something where it is unpickled."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.reduced


def test_a_call_is_cancelled_while_its_arguments_are_still_read(
    entry_point: IsolatedEntryPoint, job: Any, begun: Path, tmp_path: Path, when_there: WhenThere
) -> None:
    slow = [_When(os.mkdir, str(begun)), _When(time.sleep, 1)]
    thread = when_there(begun, entry_point.cancel)
    with pytest.raises(CallCancelled, match=r"was cancelled\.$"):
        job.wait(slow, tmp_path / "ended")
    assert not (tmp_path / "ended").exists()
    assert job.run() == "one"
    thread.join()


def test_a_call_that_takes_the_cancelling_as_a_hint_returns_its_value(
    entry_point: IsolatedEntryPoint, job: Any, begun: Path, when_there: WhenThere
) -> None:
    thread = when_there(begun, entry_point.cancel)
    assert job.swallow(begun) == "as far as it came"
    thread.join()


def test_a_call_that_does_not_react_ends_with_its_worker(
    entry_point: IsolatedEntryPoint, job: Any, begun: Path, monkeypatch: pytest.MonkeyPatch, when_there: WhenThere
) -> None:
    monkeypatch.setattr("tg.common.delivery.isolation.session.GRACE_SECONDS", 0.2)
    thread = when_there(begun, entry_point.cancel)
    with pytest.raises(CallCancelled, match="did not react"):
        job.ignore(begun)
    thread.join()
    with pytest.raises(WorkerEnded):
        job.run()
    assert entry_point.load_resource("job").run() == "one"


def test_ctrl_c_cancels_the_call_that_is_waited_for(
    job: Any, begun: Path, tmp_path: Path, when_there: WhenThere
) -> None:
    thread = when_there(begun, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        job.wait(begun, tmp_path / "ended")
    assert (tmp_path / "ended").exists()
    assert job.run() == "one"
    thread.join()


def test_ctrl_c_twice_ends_a_worker_that_does_not_react(job: Any, begun: Path, when_there: WhenThere) -> None:
    def interrupt_twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    thread = when_there(begun, interrupt_twice)
    with pytest.raises(KeyboardInterrupt):
        job.ignore(begun)
    thread.join()
    with pytest.raises(WorkerEnded, match="was killed since a call"):
        job.run()


def test_whatever_a_signal_handler_raises_cancels_the_call(
    job: Any, begun: Path, tmp_path: Path, when_there: WhenThere
) -> None:
    def over(number: int, frame: object) -> None:
        raise TimeoutError("too long")

    before = signal.signal(signal.SIGUSR1, over)
    thread = when_there(begun, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    try:
        with pytest.raises(TimeoutError, match="too long"):
            job.wait(begun, tmp_path / "ended")
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert (tmp_path / "ended").exists()
    assert job.run() == "one"


def test_cancel_does_nothing_when_nothing_runs(entry_point: IsolatedEntryPoint, job: Any) -> None:
    entry_point.cancel()
    assert job.run() == "one"
    entry_point.cancel()
    assert job.run() == "one"


def test_a_signal_handler_may_cancel_the_call_that_it_interrupts(
    entry_point: IsolatedEntryPoint, job: Any, begun: Path, tmp_path: Path, when_there: WhenThere
) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: entry_point.cancel())
    thread = when_there(begun, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    try:
        with pytest.raises(CallCancelled, match=r"was cancelled\.$"):
            job.wait(begun, tmp_path / "ended")
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert job.run() == "one"


def test_a_call_that_ignores_a_signal_handler_s_cancelling_ends_with_its_worker(
    entry_point: IsolatedEntryPoint, job: Any, begun: Path, monkeypatch: pytest.MonkeyPatch, when_there: WhenThere
) -> None:
    monkeypatch.setattr("tg.common.delivery.isolation.session.GRACE_SECONDS", 0.2)
    before = signal.signal(signal.SIGUSR1, lambda *_: entry_point.cancel())
    thread = when_there(begun, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    try:
        with pytest.raises(CallCancelled, match="did not react"):
            job.ignore(begun)
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def time_limit() -> Iterator[int]:
    """A signal whose handler raises, as that of an alarm does."""

    def over(number: int, frame: object) -> None:
        raise TimeoutError("too long")

    before = signal.signal(signal.SIGUSR1, over)
    yield signal.SIGUSR1
    signal.signal(signal.SIGUSR1, before)


def test_a_time_limit_that_is_over_while_an_answer_is_read_is_raised_as_it_is(
    isolate: Isolate, time_limit: int
) -> None:
    job = isolate("""
        import functools, os, weakref
        class Thing:
            pass
        class Signal:
            def __init__(self, *arguments):
                self.arguments = arguments
            def __reduce__(self):
                return os.kill, self.arguments
        Signal.__module__, Signal.__qualname__ = "functools", "Signal"      # else it would stay here
        functools.Signal = Signal
        class Job:
            def run(self, *arguments):
                made = Thing()
                self.alive = weakref.ref(made)
                return Signal(*arguments), made
            def is_alive(self):
                return self.alive() is not None
    """).load_resource("job")
    with pytest.raises(TimeoutError, match="too long"):
        job.run(os.getpid(), time_limit)
    assert not job.is_alive()


def test_a_time_limit_that_is_over_while_output_is_passed_on_is_raised_as_it_is(
    isolate: Isolate, time_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = isolate("class Job:\n    def run(self):\n        print('line')\n").load_resource("job")
    sent, raised = 0, 0

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            nonlocal sent
            if threading.current_thread() is threading.main_thread():  # and so not in the middle of an answer
                sent += 1
                os.kill(os.getpid(), time_limit)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Slow())
    while sent < 3:
        try:
            job.run()
        except TimeoutError:
            raised += 1
    assert raised == sent
