"""Segments: shared memory without a name, in which big buffers cross from one process to another.

1. A segment is gone with the last process that has it, however they end: on Linux it is a memfd, elsewhere a temporary file
   that has been unlinked. Nothing is ever left in a folder.
2. The sender copies a buffer into a segment once. The receiver maps it, copy on write, and so may change what it got.
3. A segment that the receiver has let go is written again: fresh pages cost several times what copying costs.
4. One that a fork of the receiver may still see is not.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections import deque
from collections.abc import Iterable
from typing import ClassVar

__all__ = ["Mapping", "Segment", "SegmentPool"]

_KEPT_BYTES = 512 * 1024 * 1024
"""So much is kept for the next buffers at most, in all."""
_FOLLOWED = 64
"""So many segments that the receiver has are kept open, to be written again; of others the sender knows nothing any more."""


class Segment:
    """Memory that the sender writes; `number` is what the receiver calls it by when it lets go."""

    def __init__(self, number: int, capacity: int) -> None:
        self.number = number
        self.capacity = capacity
        self.fd = _nameless_file()
        try:
            os.ftruncate(self.fd, capacity)
            self._memory = mmap.mmap(self.fd, capacity)
        except BaseException:
            os.close(self.fd)
            raise

    def write(self, offset: int, data: bytes | memoryview) -> int:
        """Copy bytes into it; where they end is returned."""
        end = offset + len(data)
        self._memory[offset:end] = data
        return end

    def close(self) -> None:
        """Let go of it; the receiver keeps what it has mapped."""
        self._memory.close()
        os.close(self.fd)


class SegmentPool:
    """The segments of one sender: in the receiver's hands, or to be written again."""

    def __init__(self) -> None:
        self._last = 0
        self._away: dict[int, Segment] = {}
        self._free: list[Segment] = []

    def take(self, size: int) -> Segment:
        """A segment with room for so many bytes, for the receiver to have until it is given back."""
        fitting = [one for one in self._free if size <= one.capacity <= 2 * size + mmap.PAGESIZE]
        if fitting:
            segment = min(fitting, key=lambda one: one.capacity)
            self._free.remove(segment)
        else:
            self._last += 1
            segment = Segment(self._last, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)
        self._away[segment.number] = segment
        if len(self._away) > _FOLLOWED:
            self._away.pop(next(iter(self._away))).close()
        return segment

    def give_back(self, numbers: Iterable[int]) -> None:
        """The receiver has let go of these; of those below zero, others may still see the bytes."""
        for number in numbers:
            segment = self._away.pop(abs(number), None)
            if segment is None:
                continue
            if number < 0:
                segment.close()
            else:
                self._free.append(segment)
        while sum(one.capacity for one in self._free) > _KEPT_BYTES:
            self._free.pop(0).close()

    def close(self) -> None:
        """Let go of all of them."""
        for segment in (*self._away.values(), *self._free):
            segment.close()
        self._away.clear()
        self._free.clear()


class Mapping(mmap.mmap):
    """A segment as the receiver has it. When nothing uses it any more, its number joins `let_go`."""

    _forks: ClassVar[int] = 0
    _counts_forks: ClassVar[bool] = False
    number: int
    let_go: deque[int]
    _forks_before: int

    @classmethod
    def of(cls, fd: int, size: int, number: int, let_go: deque[int]) -> Mapping:
        """Map the first bytes of a segment, writable and private."""
        if not Mapping._counts_forks:
            os.register_at_fork(before=Mapping._count_fork)
            Mapping._counts_forks = True
        made = cls(fd, size, access=mmap.ACCESS_COPY)
        made.number, made.let_go, made._forks_before = number, let_go, Mapping._forks
        return made

    @staticmethod
    def _count_fork() -> None:
        Mapping._forks += 1

    def __del__(self) -> None:
        if hasattr(self, "_forks_before"):
            self.let_go.append(self.number if self._forks_before == Mapping._forks else -self.number)


def _nameless_file() -> int:
    if sys.platform == "linux":
        return os.memfd_create("tg", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
