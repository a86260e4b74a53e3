"""What a task says, where several of one name run in a process."""

from __future__ import annotations

import gc
import io
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import pytest

from tg.common.delivery.cluster import task_output
from tg.common.delivery.cluster.task_output import TaskOutput, said


class Hesitating(dict[str, TaskOutput]):
    """Lets other threads go on between what is looked up and what is done about it."""

    def get(self, *given: Any) -> Any:
        found = super().get(*given)
        time.sleep(0.001)
        return found


def test_tasks_of_one_name_begin_and_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_output, "_running", Hesitating())

    def enter_and_leave(_: int) -> None:
        with TaskOutput("one"):
            pass

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(enter_and_leave, range(100)))
    assert said("one", 0) == ""


def test_the_end_of_one_task_does_not_end_what_is_known_of_another() -> None:
    first, second = TaskOutput("one"), TaskOutput("one")
    first.__enter__()
    with second:
        first.__exit__()
        second.add("heard")
        assert said("one", 0) == "heard"
    assert said("one", 0) == ""


@contextmanager
def the_stream_of_a_worker() -> Iterator[io.TextIOWrapper]:
    """The standard output, in the test itself: pytest puts its own there after the fixtures."""
    before = sys.stdout
    sys.stdout = stream = io.TextIOWrapper(io.BytesIO(), "latin-1", "backslashreplace", line_buffering=True)
    try:
        yield stream
    finally:
        sys.stdout = before


def bytes_of(stream: io.TextIOWrapper) -> bytes:
    """What has been written to it."""
    stream.seek(0)
    return bytes(stream.buffer.read())


def test_a_task_sees_the_stream_of_its_worker() -> None:
    with the_stream_of_a_worker() as stream, TaskOutput("one"):
        seen = (sys.stdout.encoding, sys.stdout.errors, sys.stdout.closed, sys.stdout.line_buffering, sys.stdout.buffer)
    assert seen == ("latin-1", "backslashreplace", False, True, stream.buffer)


def test_lines_are_heard_however_they_are_written() -> None:
    with the_stream_of_a_worker() as stream:
        with TaskOutput("one") as output:
            sys.stdout.writelines(["a\n", "b\n"])
            print("c", flush=True)
        sys.stdout.writelines(["of the ", "worker\n"])
    assert "".join(text for _, text in output.logs) == "a\nb\nc\n"
    assert bytes_of(stream) == b"of the worker\n"


def test_a_job_cannot_close_the_stream_of_its_worker() -> None:
    with the_stream_of_a_worker() as stream:
        with TaskOutput("one") as output:
            with sys.stdout as same:
                print("a", file=same)
            sys.stdout.close()
            with pytest.raises(io.UnsupportedOperation):
                cast(io.TextIOBase, sys.stdout).detach()
            assert isinstance(sys.stdout, io.TextIOBase)
            print("b")
        print("of the worker")
    assert "".join(text for _, text in output.logs) == "a\nb\n"
    assert bytes_of(stream) == b"of the worker\n"


def test_nothing_is_told_of_a_stream_that_the_worker_has_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python tells that from 3.13 on."""
    told: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: told.append(repr(one.object)))  # of whatever goes meanwhile
    with the_stream_of_a_worker() as stream:
        with TaskOutput("one"):
            pass
        stream.close()
    gc.collect()
    assert [one for one in told if "_Stream" in one] == []
