"""Waiting for what comes by itself, and never without an end; and the processes that are to be gone then."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")


def until(look: Callable[[], Found], *, seconds: float = 60, told: Callable[[], str] = str) -> Found:
    """Look again and again until something is found; `told` is what the error says where it is not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not so after {seconds} s {told()}".rstrip())


Process = tuple[int, str]
"""Its id and when it was started: ids are given again."""


def descendants(ancestor: int) -> set[Process]:
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            parents[int(entry)] = int(fields[1]), (int(entry), fields[19])
    found: set[Process] = set()
    wanted = [ancestor]
    while wanted:
        parent = wanted.pop()
        for child, (its_parent, process) in parents.items():
            if its_parent == parent:
                found.add(process)
                wanted.append(child)
    return found


def children(parent: int) -> set[int]:
    """The processes that one has itself started, from any of its threads."""
    found: set[int] = set()
    for thread in os.listdir(f"/proc/{parent}/task"):
        with suppress(OSError):  # it has ended meanwhile
            found.update(map(int, Path(f"/proc/{parent}/task/{thread}/children").read_text("ascii").split()))
    return found


def alive(processes: set[Process]) -> set[Process]:
    """Those that are still there, zombies left out."""
    return {
        (number, started)
        for number, started in processes
        if (fields := _stat(number)) and fields[19] == started and fields[0] not in "ZX"
    }


def is_running(number: int) -> bool:
    """Whether a process is there, and no zombie."""
    return bool(fields := _stat(number)) and fields[0] not in "ZX"


def _stat(number: int) -> list[str]:
    try:
        return Path(f"/proc/{number}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return []
