"""A channel: messages between an isolated package's worker and its owner, over one socket.

    header   12 bytes: how long table and body are, how many descriptors come with it
    table    which segments were let go, and where in the descriptors' memory the big buffers are
    body     a pickle, protocol 5, its big buffers out of band

What is bigger than 64 KiB, a buffer or the body itself, is not in the socket: it lies in shared memory, whose descriptors
come along (SCM_RIGHTS). Either side sends, and then waits for the answer; so there is one message under way at most.
"""

from __future__ import annotations

import array
import io
import os
import pickle
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple

from .resources import BUFFER_THRESHOLD_BYTES
from .segments import Mapping, Segment, SegmentPool

__all__ = ["PROTOCOL", "Channel", "Message", "Packed"]

PROTOCOL = 1
"""The number of this form of messages, and of what is said in them. Owner and worker may be of different releases."""

_HELLO = struct.Struct("<12sI")
_GREETING = b"tg isolation"
_HEADER = struct.Struct("<III")
_OWN_SEGMENT_BYTES = 1024 * 1024
"""A buffer of this size has a segment of its own, which can be let go by itself; smaller ones share one."""
_OWN_SEGMENTS = 30
_ALIGNMENT = 64
_ROOM = 256 * 1024
_ANCILLARY = socket.CMSG_SPACE((_OWN_SEGMENTS + 2) * array.array("i").itemsize)
_AWAKE_SECONDS = 50e-6
"""Twice what the other side takes for a call that does next to nothing. On busy cores it is added to each call, so no more."""
_let_others_run: Callable[[], object] = getattr(os, "sched_yield", lambda: None)
"""The other side may have to share this very core."""
_CLOSE_ON_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Message(NamedTuple):
    """What was received: the pickle, to be read from its file, and its buffers."""

    body: IO[bytes]
    buffers: list[memoryview]


class Packed(NamedTuple):
    """What is to be sent: bytes for the socket, and the descriptors of the memory that has the rest."""

    data: bytes
    descriptors: list[int]


class _SegmentReader(io.FileIO):
    """A body that lies in a segment: read, and not mapped, since unpickling copies what it has anyway."""

    def __init__(self, fd: int, number: int, let_go: deque[int]) -> None:
        super().__init__(os.dup(fd), "rb")
        self.seek(0)  # the position is the sender's as well, and where the last receiver left it
        self._number = number
        self._let_go = let_go

    def close(self) -> None:
        if not self.closed:
            self._let_go.append(self._number)
        super().close()


class _Table(NamedTuple):
    let_go: list[int]
    segments: list[tuple[int, int]]
    """Number and size of each, in the order of the descriptors."""
    buffers: list[tuple[int, int, int]]
    """Of each buffer the index of its segment, and where in it it begins and ends."""
    body: int | None
    """The index of the segment that has the body, where the message has none."""


class Channel:
    """One end, for one thread at a time. What interrupts `send` or `receive` in the middle breaks it."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._room = memoryview(bytearray(_ROOM))
        self._pool = SegmentPool()
        self._let_go: deque[int] = deque()

    def greet(self) -> None:
        """Say which protocol is spoken here: before all else, and in a form that never changes."""
        self._socket.sendall(_HELLO.pack(_GREETING, PROTOCOL))

    def greeting(self) -> int:
        """The protocol that the other side speaks. Raises `EOFError` when it is gone."""
        try:
            said = self._socket.recv(_HELLO.size, socket.MSG_WAITALL)
        except ConnectionError as error:
            raise EOFError from error
        if len(said) < _HELLO.size:
            raise EOFError
        return int(_HELLO.unpack(said)[1])

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until something has come, or the other side is gone. It takes nothing in, so it can be interrupted.

        What comes within a few microseconds is met awake: to wake a sleeping core takes longer than a short call.
        """
        awake_until = time.perf_counter() + _AWAKE_SECONDS
        while not self._poll.poll(0):
            if time.perf_counter() > awake_until:
                return bool(self._poll.poll(None if seconds is None else 1000 * seconds))
            _let_others_run()
        return True

    def pack(self, body: Sequence[bytes], buffers: Sequence[pickle.PickleBuffer]) -> Packed:
        """A pickle, given in pieces, and its buffers, made ready: what is big is copied now. Nothing is sent yet."""
        size = sum(map(len, body))
        if not buffers and size <= BUFFER_THRESHOLD_BYTES and not self._let_go:
            return Packed(b"".join((_HEADER.pack(0, size, 0), *body)), [])
        filled, descriptors = self._filled(body if size > BUFFER_THRESHOLD_BYTES else (), size, buffers)
        table = pickle.dumps(tuple(filled))
        text = b"".join(body) if filled.body is None else b""
        return Packed(b"".join((_HEADER.pack(len(table), len(text), len(descriptors)), table, text)), descriptors)

    def send(self, packed: Packed) -> None:
        """Send a message. Raises `EOFError` when the other side is gone."""
        descriptors = array.array("i", packed.descriptors)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)] if descriptors else ()
        try:
            sent = self._socket.sendmsg([packed.data], rights)
            if sent < len(packed.data):
                self._socket.sendall(memoryview(packed.data)[sent:])
        except ConnectionError as error:
            raise EOFError from error

    def receive(self) -> Message:
        """The next message, whose body is to be closed. Raises `EOFError` when the other side is gone."""
        descriptors: list[int] = []
        self.wait()
        try:
            got = self._take_in(0, descriptors)
            while got < _HEADER.size:
                got = self._take_in(got, descriptors)
            table_size, body_size, count = _HEADER.unpack_from(self._room)
            end = _HEADER.size + table_size + body_size
            if end > len(self._room):
                larger = memoryview(bytearray(end))
                larger[:got] = self._room[:got]
                self._room = larger
            while got < end:
                got = self._take_in(got, descriptors)
            if len(descriptors) != count:
                raise OSError("too many open files: the big buffers of a message cannot be taken in")
            text = self._room[_HEADER.size + table_size : end]
            if not table_size:
                return Message(io.BytesIO(text), [])
            table = _Table(*pickle.loads(self._room[_HEADER.size : _HEADER.size + table_size]))
            self._pool.give_back(table.let_go)
            return self._mapped(table, text, descriptors)
        finally:
            for fd in descriptors:
                os.close(fd)

    def close(self) -> None:
        """End it. The other side's next `receive` raises `EOFError`."""
        self._socket.close()
        self._pool.close()

    def _filled(
        self, body: Sequence[bytes], body_size: int, buffers: Sequence[pickle.PickleBuffer]
    ) -> tuple[_Table, list[int]]:
        """The big parts of a message, copied into segments."""
        segments: list[tuple[Segment, int]] = []
        places: list[tuple[int, int, int] | None] = []
        shared: list[tuple[int, memoryview]] = []
        for buffer in buffers:
            raw = buffer.raw()
            if raw.nbytes < _OWN_SEGMENT_BYTES or len(segments) == _OWN_SEGMENTS:
                shared.append((len(places), raw))
                places.append(None)
                continue
            segment = self._pool.take(raw.nbytes)
            places.append((len(segments), 0, segment.write(0, raw)))
            segments.append((segment, raw.nbytes))
        if shared:
            segment = self._pool.take(sum(raw.nbytes + _ALIGNMENT for _, raw in shared))
            end = 0
            for index, raw in shared:
                begin = -(-end // _ALIGNMENT) * _ALIGNMENT
                end = segment.write(begin, raw)
                places[index] = (len(segments), begin, end)
            segments.append((segment, end))
        in_segment = None
        if body:
            segment = self._pool.take(body_size)
            end = 0
            for piece in body:
                end = segment.write(end, piece)
            in_segment = len(segments)
            segments.append((segment, body_size))
        let_go = [self._let_go.popleft() for _ in range(len(self._let_go))]
        sizes = [(segment.number, size) for segment, size in segments]
        found = [place for place in places if place is not None]
        return _Table(let_go, sizes, found, in_segment), [segment.fd for segment, _ in segments]

    def _mapped(self, table: _Table, text: memoryview, descriptors: Sequence[int]) -> Message:
        memories = [
            memoryview(Mapping.of(fd, size, number, self._let_go)) if index != table.body else memoryview(b"")
            for index, (fd, (number, size)) in enumerate(zip(descriptors, table.segments, strict=True))
        ]
        buffers = [memories[index][begin:end] for index, begin, end in table.buffers]
        if table.body is None:
            return Message(io.BytesIO(text), buffers)
        body = _SegmentReader(descriptors[table.body], table.segments[table.body][0], self._let_go)
        return Message(io.BufferedReader(body), buffers)

    def _take_in(self, got: int, descriptors: list[int]) -> int:
        try:
            count, ancillary, _, _ = self._socket.recvmsg_into([self._room[got:]], _ANCILLARY, _CLOSE_ON_EXEC)
        except ConnectionError as error:
            raise EOFError from error
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found = array.array("i")
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
                descriptors.extend(found)
        if not count:
            raise EOFError
        return got + count
