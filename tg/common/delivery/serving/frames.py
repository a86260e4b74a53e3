"""Frames: what the server and a worker say to each other over one socket, many requests under way at once.

    size of what follows   number   kind   status   size of facts   facts, JSON   body

A frame with a number is a request, or the answer that has the same number. The server never unpickles what a worker sends:
a worker runs other people's code, and the server answers for all of them. Standard library alone: a worker has no more.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = [
    "ANSWER",
    "FAILED",
    "INSTALLATION",
    "JSON_CALL",
    "LOG",
    "READY",
    "REMOVAL",
    "STATE",
    "TENSOR_CALL",
    "Frame",
    "FrameReader",
    "pack",
]

JSON_CALL, TENSOR_CALL = 1, 2
"""Requests to a worker: a JSON object of arguments, and tensors as the Open Inference Protocol has them."""
INSTALLATION, REMOVAL = 3, 4
"""Requests to an installer: facts name the `file` of a package, and a `folder` that was put away."""
ANSWER, STATE, READY, FAILED, LOG = 16, 17, 18, 19, 20
"""What a worker sends: an answer; what it does while it starts; that it serves, or why it cannot; a line of its log."""

_ENCODER = json.JSONEncoder(check_circular=False)
_HEADER = struct.Struct("<QIBHI")
_REST = _HEADER.size - 8


class Frame(NamedTuple):
    """One frame; `status` is that of HTTP, `facts` is a JSON object or nothing."""

    number: int
    kind: int
    status: int
    facts: bytes
    body: bytes

    def known(self) -> dict[str, Any]:
        """The facts, read."""
        return json.loads(self.facts) if self.facts else {}


def pack(
    kind: int, number: int = 0, body: bytes = b"", *, status: int = 0, facts: Mapping[str, Any] | None = None
) -> bytes:
    """A frame as bytes."""
    text = _ENCODER.encode(facts).encode() if facts else b""
    return _HEADER.pack(_REST + len(text) + len(body), number, kind, status, len(text)) + text + body


class FrameReader:
    """Bytes in, in whatever pieces they come; whole frames out."""

    def __init__(self) -> None:
        self._pieces = bytearray()
        self._wanted = _HEADER.size

    def frames_of(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole with this piece."""
        self._pieces += data
        if len(self._pieces) < self._wanted:  # of a big one: not looked at again before all of it is there
            return
        at, end = 0, len(self._pieces)
        pieces = self._pieces
        self._wanted = _HEADER.size
        while end - at >= _HEADER.size:
            size, number, kind, status, facts_size = _HEADER.unpack_from(pieces, at)
            if end - at - 8 < size:
                self._wanted = 8 + size
                break
            facts = at + _HEADER.size
            body = facts + facts_size
            after = at + 8 + size
            yield Frame(number, kind, status, bytes(pieces[facts:body]), bytes(pieces[body:after]))
            at = after
        del pieces[:at]
