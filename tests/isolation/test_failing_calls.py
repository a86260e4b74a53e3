"""Calls that come to no value: what the package raises, what cannot cross, and a worker that ends."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from waiting import is_running, until

from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint
from tg.common.delivery.runtime.errors import CallFailed, RemoteError, UncrossableValue, WorkerEnded

Isolate = Callable[..., IsolatedEntryPoint]

FAILING = """
import os
import signal
import sys

class Own(ValueError):
    def __init__(self, message, code):
        super().__init__(message)
        self.code = code

class Job:
    def divide(self, by):
        return 1 / by

    def read(self, name):
        return open(name)

    def exit(self, status):
        sys.exit(status)

    def own(self):
        try:
            self.divide(0)
        except ZeroDivisionError as error:
            raise Own("out of order", 7) from error

    def demanding(self):
        import json
        json.loads("{")

    def echo(self, *values):
        return values

    def kill(self, number):
        print("last words", file=sys.stderr)
        os.kill(os.getpid(), number)

    def leave(self, status):
        os._exit(status)

    def segfault(self):
        import ctypes
        ctypes.string_at(0)
"""


@pytest.fixture
def entry_point(isolate: Isolate) -> IsolatedEntryPoint:
    return isolate(FAILING)


@pytest.fixture
def job(entry_point: IsolatedEntryPoint) -> Any:
    return entry_point.load_resource("job")


def test_an_exception_that_both_sides_know_is_raised_as_it_is(job: Any) -> None:
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        job.divide(0)
    with pytest.raises(FileNotFoundError) as raised:
        job.read("/nowhere")
    assert (raised.value.errno, raised.value.filename) == (2, "/nowhere")
    with pytest.raises(SystemExit) as ended:
        job.exit(3)
    assert ended.value.code == 3
    assert job.divide(1) == 1


def test_an_exception_that_pickle_knows_how_to_make_again_is_raised_as_it_is(job: Any) -> None:
    import json

    with pytest.raises(json.JSONDecodeError) as raised:
        job.demanding()
    assert raised.value.pos == 1


def test_the_cause_of_an_exception_is_the_traceback_of_the_worker(job: Any) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        job.divide(0)
    cause = str(raised.value.__cause__)
    assert "tg/my/job.py" in cause
    assert "in divide" in cause
    assert "runtime/worker.py" not in cause
    assert "in divide" in "".join(traceback.format_exception(raised.value))


def test_an_exception_of_the_package_s_own_tells_its_type_and_traceback(job: Any) -> None:
    with pytest.raises(RemoteError, match=r"own of my_job__1_0_0 raised .*Own: out of order") as raised:
        job.own()
    assert raised.value.error_type == "my_job__1_0_0.tg.my.job.Own"
    assert "ZeroDivisionError" in raised.value.traceback
    assert raised.value.error.code == 7  # type: ignore[attr-defined]


def test_an_exception_that_cannot_be_made_again_is_told_and_one_that_holds_another_is_raised(isolate: Isolate) -> None:
    job = isolate(
        "class Own(Exception):\n    pass\nclass Wrapped(ValueError):\n    def __init__(self, a, b):\n        super().__init__(a)\n"
        "class Job:\n    def run(self):\n        raise Wrapped('a', 'b')\n    def wrap(self):\n        raise ValueError(Own('inside'))\n"
    ).load_resource("job")
    with pytest.raises(RemoteError, match="Wrapped: a"):
        job.run()
    with pytest.raises(ValueError, match="inside"):
        job.wrap()


def test_an_exception_of_a_dependency_that_is_not_here_tells_its_type_and_traceback(isolate: Isolate) -> None:
    assert importlib.util.find_spec("voluptuous") is None
    job = isolate(
        """
        class Job:
            def run(self):
                import voluptuous        # which is where the package lands, and not here
                raise voluptuous.Invalid("not a number")
        """,
        requirements=("voluptuous",),
    ).load_resource("job")
    for _ in range(2):
        with pytest.raises(RemoteError, match="not a number") as raised:
            job.run()
        assert raised.value.error_type == "voluptuous.error.Invalid"
        assert raised.value.error.msg == "not a number"  # type: ignore[attr-defined]


def test_what_cannot_be_pickled_is_refused_before_anything_is_sent(job: Any) -> None:
    with pytest.raises(UncrossableValue, match=r"argument 2, of <class 'generator'>"):
        job.echo(1, (number for number in [1]))
    with pytest.raises(UncrossableValue, match="argument 'by'"):
        job.divide(by=lambda: 0)
    assert job.echo(1) == (1,)


def test_what_the_worker_does_not_know_is_named(job: Any) -> None:
    with pytest.raises(UncrossableValue, match=r"projects\.Project is not known to the worker of my_job__1_0_0"):
        job.echo(Project)
    assert job.echo(1) == (1,)


def test_all_of_these_are_failed_calls(job: Any) -> None:
    with pytest.raises(CallFailed):
        job.own()
    with pytest.raises(TypeError):  # as pickle has it
        job.echo(lambda: 0)


@pytest.mark.parametrize(("name", "arguments"), [("kill", (signal.SIGSEGV,)), ("segfault", ())])
def test_a_crash_of_the_worker_is_an_exception_that_names_the_signal(job: Any, name: str, arguments: Any) -> None:
    with pytest.raises(WorkerEnded, match=f"ended by SIGSEGV while {name} was running") as raised:
        getattr(job, name)(*arguments)
    assert raised.value.exit_code == -signal.SIGSEGV
    assert "Segmentation fault" in raised.value.stderr
    assert f"in {name}" in raised.value.stderr


def test_a_killed_worker_shows_its_last_lines(job: Any) -> None:
    with pytest.raises(WorkerEnded, match=r"SIGKILL.* memory[^$]*last words"):
        job.kill(signal.SIGKILL)


def test_a_worker_that_leaves_tells_its_exit_status(job: Any) -> None:
    with pytest.raises(WorkerEnded, match="exit status 3") as raised:
        job.leave(3)
    assert raised.value.exit_code == 3


def test_calls_after_the_end_of_a_worker_say_how_it_ended(entry_point: IsolatedEntryPoint, job: Any) -> None:
    with pytest.raises(WorkerEnded):
        job.leave(3)
    for _ in range(2):
        with pytest.raises(WorkerEnded, match="exit status 3 while leave was running"):
            job.echo(1)
    with pytest.raises(WorkerEnded):
        repr(job)


def test_loading_again_starts_another_worker(entry_point: IsolatedEntryPoint, job: Any) -> None:
    with pytest.raises(WorkerEnded):
        job.leave(3)
    again = entry_point.load_resource("job")
    assert again.echo(1) == (1,)
    with pytest.raises(WorkerEnded):
        job.echo(1)


def test_a_worker_that_ended_between_calls_is_told_by_the_next(isolate: Isolate) -> None:
    job = isolate("import os\nclass Job:\n    def run(self):\n        return os.getpid()\n").load_resource("job")
    pid = job.run()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_running(pid))
    with pytest.raises(WorkerEnded, match="SIGKILL"):
        job.run()
    assert not Path(f"/proc/{pid}").exists()


def test_a_worker_that_cannot_be_started_shows_why(isolate: Isolate) -> None:
    entry_point = isolate(FAILING)
    entry_point.unload()
    worker = entry_point.resources_location.parent / "tg/common/delivery/runtime/worker.py"
    worker.unlink()
    worker.write_text("raise SystemExit('not today')", "utf-8")
    with pytest.raises(WorkerEnded, match=r"exit status 1 while it was started[^$]*not today"):
        entry_point.load_resource("job")


def test_what_a_failed_call_was_given_is_let_go(isolate: Isolate) -> None:
    job = isolate("""
        import weakref
        class Thing:
            pass
        class Job:
            def make(self):
                thing = Thing()
                self.__dict__.setdefault("alive", []).append(weakref.ref(thing))
                return thing
            def fail(self, thing):
                raise ValueError("no")
            def fail_with(self, thing):
                error = type("Own", (Exception,), {"__module__": __name__})("no")
                raise error
            def count(self):
                return sum(one() is not None for one in self.alive)
    """).load_resource("job")
    for fail, kind in ((job.fail, ValueError), (job.fail_with, RemoteError)):
        thing = job.make()
        with pytest.raises(kind):
            fail(thing)
        del thing
        gc.collect()
        assert job.count() == 0


@pytest.mark.skipif(sys.version_info < (3, 11), reason="has no groups of exceptions")
def test_a_group_with_an_exception_of_the_package_s_own_tells_its_traceback(isolate: Isolate) -> None:
    job = isolate("""
        class Own(Exception):
            pass
        class Job:
            def run(self):
                raise ExceptionGroup("both", [Own("inside"), ValueError("beside")])
            def theirs(self):
                raise ExceptionGroup("both", [KeyError("inside"), ValueError("beside")])
    """).load_resource("job")
    for _ in range(2):
        with pytest.raises(RemoteError, match="both") as raised:
            job.run()
        assert "Own: inside" in raised.value.traceback
        assert [str(one) for one in raised.value.error.exceptions] == ["inside", "beside"]  # type: ignore[attr-defined]
        with pytest.raises(ExceptionGroup) as known:  # noqa: F821
            job.theirs()
        assert [type(one) for one in known.value.exceptions] == [KeyError, ValueError]


def test_a_value_that_cannot_be_made_here_is_told_each_time_and_lets_go(isolate: Isolate) -> None:
    job = isolate("""
        import functools
        import weakref
        class Thing:
            pass
        class Job:
            def __init__(self):
                self.alive = []
            def __getstate__(self):
                return {"alive": []}
            def run(self):
                made = [Broken(), Thing()]
                self.alive.append(weakref.ref(made[-1]))
                return made
            def count(self):
                return sum(one() is not None for one in self.alive)
        class Broken:
            def __reduce__(self):
                return functools.reduce, ()
        Broken.__module__, Broken.__qualname__ = "functools", "Broken"
        functools.Broken = Broken
    """).load_resource("job")
    for _ in range(2):
        with pytest.raises(UncrossableValue, match="cannot be read here: TypeError"):
            job.run()
    gc.collect()
    assert job.count() == 0
