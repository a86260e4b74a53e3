"""What a task says, where several of one name run in a process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tg.common.delivery.cluster.task_output import TaskOutput, said


@pytest.fixture
def many_turns() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_tasks_of_one_name_begin_and_end_at_once(many_turns: None) -> None:
    def enter_and_leave(_: int) -> None:
        with TaskOutput("one"):
            pass

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(enter_and_leave, range(20_000)))
    assert said("one", 0) == ""


def test_the_end_of_one_task_does_not_end_what_is_known_of_another() -> None:
    first, second = TaskOutput("one"), TaskOutput("one")
    first.__enter__()
    with second:
        first.__exit__()
        second.add("heard")
        assert said("one", 0) == "heard"
    assert said("one", 0) == ""
