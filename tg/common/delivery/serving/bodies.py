"""Bodies of requests, within the limits of size and time, as bytes or as a file."""

from __future__ import annotations

import asyncio
import types
import zlib
from collections.abc import AsyncIterator, Awaitable, Generator, Mapping
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive

__all__ = ["ENCODINGS", "BadBody", "body_of", "decoded", "write_body"]

ENCODINGS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
"""The content encodings that are known here (RFC 9110, 8.4.1), as the `wbits` of zlib."""


class BadBody(Exception):
    """A body that is not taken; `status` is that of HTTP."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


async def body_of(headers: Mapping[bytes, bytes], receive: Receive, *, limit: int, seconds: float) -> bytes:
    """The whole body. Raises `BadBody` when it is too big, takes too long, or its client is gone before its end."""
    _check_announced(headers, limit)
    message = await _next(receive, seconds)
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > limit:
            raise _too_big(limit)
        return await _decoded(headers, body, limit)
    pieces = [body]
    async for piece in _pieces(receive, limit - len(body), limit, seconds):
        pieces.append(piece)
    return await _decoded(headers, b"".join(pieces), limit)


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


def decoded(headers: Mapping[bytes, bytes], body: bytes, limit: int) -> bytes:
    """A body without its content encoding."""
    encoding = headers.get(b"content-encoding")
    if encoding is None or encoding == b"identity":
        return body
    if encoding not in ENCODINGS:
        raise BadBody(
            f"content encoding {encoding.decode(errors='replace')!r} is not known here; gzip and deflate are",
            status=415,
        )
    unpacking = zlib.decompressobj(ENCODINGS[encoding])
    try:
        text = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadBody(f"the body is not {encoding.decode()}: {error}", status=400) from None
    if len(text) > limit:
        raise _too_big(limit)
    if not unpacking.eof:
        raise BadBody(f"the body ends before its {encoding.decode()} does", status=400)
    return text


async def _decoded(headers: Mapping[bytes, bytes], body: bytes, limit: int) -> bytes:
    if b"content-encoding" not in headers:
        return body
    return await asyncio.to_thread(decoded, headers, body, limit)  # a few bytes can become many


def _check_announced(headers: Mapping[bytes, bytes], limit: int) -> None:
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > limit:
        raise _too_big(limit)


async def _pieces(receive: Receive, left: int, limit: int, seconds: float) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while True:
        if left < 0:
            raise _too_big(limit)
        message = await _next(receive, until - loop.time())
        piece: bytes = message.get("body", b"")
        left -= len(piece)
        yield piece
        if not message.get("more_body", False):
            if left < 0:
                raise _too_big(limit)
            return


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
