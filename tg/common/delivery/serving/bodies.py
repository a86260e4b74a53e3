"""Bodies of requests, within the limits of size and time, as bytes or as a file."""

from __future__ import annotations

import asyncio
import types
import zlib
from collections.abc import Awaitable, Generator, Mapping
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive

__all__ = ["ENCODINGS", "REQUEST_BYTES", "BadBody", "body_of", "write_body"]

ENCODINGS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
"""The content encodings that are known here (RFC 9110, 8.4.1), as the `wbits` of zlib."""
REQUEST_BYTES = 1024 * 1024
"""How much a request may have that carries no tensors, and no package."""


class BadBody(Exception):
    """A body that is not taken; `status` is that of HTTP."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


async def body_of(headers: Mapping[bytes, bytes], receive: Receive, *, limit: int, seconds: float) -> bytes:
    """The whole body. Raises `BadBody` when it is too big, takes too long, or its client is gone before its end."""
    _check_announced(headers, limit)
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    pieces: list[bytes] = []
    left, is_whole = limit, False
    while not is_whole:
        message = await _next(receive, until - loop.time())
        pieces.append(message.get("body", b""))
        left -= len(pieces[-1])
        if left < 0:
            raise _too_big(limit)
        is_whole = not message.get("more_body", False)
    body = b"".join(pieces)
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding == b"identity":
        return body
    if encoding not in ENCODINGS:
        raise BadBody(
            f"content encoding {encoding.decode(errors='replace')!r} is not known here; gzip and deflate are",
            status=415,
        )
    return await asyncio.to_thread(_decoded, body, encoding, limit)  # a few bytes can become many


async def write_body(
    headers: Mapping[bytes, bytes], receive: Receive, file: Path, *, limit: int, seconds: float
) -> None:
    """Write a body into a new file; `seconds` are those between two pieces. Raises as `body_of`, and `OSError`."""
    _check_announced(headers, limit)
    with open(file, "xb") as opened:
        left = limit
        while True:
            message = await _next(receive, seconds)
            piece = message.get("body", b"")
            left -= len(piece)
            if left < 0:
                raise _too_big(limit)
            if len(piece) < 1 << 16:
                opened.write(piece)
            else:
                await asyncio.to_thread(opened.write, piece)
            if not message.get("more_body", False):
                return


def _decoded(body: bytes, encoding: bytes, limit: int) -> bytes:
    unpacking = zlib.decompressobj(ENCODINGS[encoding])
    try:
        text = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadBody(f"the body is not {encoding.decode()}: {error}", status=400) from None
    if len(text) > limit:
        raise _too_big(limit)
    if not unpacking.eof or unpacking.unused_data:
        raise BadBody(f"the body is not one whole {encoding.decode()}", status=400)
    return text


def _check_announced(headers: Mapping[bytes, bytes], limit: int) -> None:
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > limit:
        raise _too_big(limit)


async def _next(receive: Receive, seconds: float) -> Message:
    """The next message. Most bodies have come with their head: then nothing waits, and no timer is needed."""
    coming: Any = receive()
    try:
        waited_for = coming.send(None)
    except StopIteration as come:
        return _checked(come.value)
    return _checked(await _within(_rest_of(coming, waited_for), seconds))


def _checked(message: Message) -> Message:
    if message["type"] == "http.disconnect":
        raise BadBody("the client was gone before the body was whole", status=400)
    return message


@types.coroutine
def _rest_of(coroutine: Any, waited_for: Any) -> Generator[Any, Any, Message]:
    """What comes of a coroutine that has begun, and waits for something."""
    try:
        yield waited_for
    except BaseException as error:
        coroutine.throw(error)
        raise
    message: Message = yield from coroutine.__await__()
    return message


async def _within(coming: Awaitable[Message], seconds: float) -> Message:
    """The same, or `BadBody` after so long. A timer is a fifth of what `asyncio.wait_for` costs."""
    task = asyncio.current_task()
    assert task is not None
    late = False

    def give_up() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(max(0.0, seconds), give_up)
    try:
        return await coming
    except asyncio.CancelledError:
        if late:
            raise BadBody("the body has not come whole in time", status=408) from None
        raise
    finally:
        timer.cancel()


def _too_big(limit: int) -> BadBody:
    return BadBody(f"a body may have {limit} bytes here", status=413)
