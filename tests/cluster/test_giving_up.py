"""Tasks in threads that are not wanted any more."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from projects import REPOSITORY

from tg.common.delivery.cluster import giving_up as module
from tg.common.delivery.cluster.giving_up import GivenUp, giving_up

_PROGRAM = """
import sys, threading, time
from tg.common.delivery.cluster.giving_up import GivenUp, giving_up

threading.settrace(lambda frame, event, argument: None if sys.argv[1] == "plain" else (lambda *given: None))

def work():
    for turn in range(3):  # a thread that has given up once takes the next task
        try:
            with giving_up(lambda: False):
                while True:
                    time.sleep(0.01)
        except GivenUp:
            print("given up")
    with giving_up(lambda: True):
        time.sleep(0.5)
    asked = time.monotonic()
    with giving_up(lambda: time.monotonic() - asked < 1):
        try:
            while True:
                time.sleep(0.01)
        except GivenUp:
            print("swallowed")
    print("done")

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_a_thread_gives_up_and_goes_on_with_the_next_task_traced_or_not() -> None:
    for how in ("plain", "traced"):
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, how],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,  # what hangs, hangs for good
        )
        assert done.stdout.split() == ["given", "up"] * 3 + ["swallowed", "done"], done.stderr


def test_a_thread_that_is_told_as_soon_as_it_is_watched_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    add = module._watch.add

    def add_and_tell(*given: Any) -> None:
        add(*given)
        raise GivenUp

    monkeypatch.setattr(module._watch, "add", add_and_tell)
    with pytest.raises(GivenUp), giving_up(lambda: True):
        pass
    assert threading.get_ident() not in module._watch._asked
