"""Connections that send heads as they should not be: slowly, without an end, and behind others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from tg.common.delivery.serving.heads import HEAD_BYTES, BoundedHeads

LATE = "the head of the request has not come whole in time"
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
Client = Callable[["Wire", Callable[[bytes], None]], Awaitable[None]]


class Wire(asyncio.Transport):
    """What the server writes, and whether it has hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = asyncio.Event()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.ended.set()

    def is_closing(self) -> bool:
        return self.ended.is_set()

    def pause_reading(self) -> None:
        """Nothing is read here."""

    def resume_reading(self) -> None:
        """Nothing is read here."""

    async def end(self) -> bytes:
        """All that was written, when it has hung up."""
        await asyncio.wait_for(self.ended.wait(), 20)
        return self.written

    async def answers(self, number: int) -> None:
        while self.written.count(b"HTTP/1.1 200") < number:
            await asyncio.sleep(0.01)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def connect(client: Client, *, keep_alive: int = 60) -> None:
    """Have a client talk to a connection whose heads have a tenth of a second."""

    async def talk() -> None:
        config = Config(application, lifespan="off", ws="none", log_config=None, timeout_keep_alive=keep_alive)
        config.load()
        loop = asyncio.get_running_loop()
        connection = BoundedHeads(config=config, server_state=ServerState(), app_state={}, _loop=loop, head_seconds=0.1)
        wire = Wire()
        connection.connection_made(wire)
        await client(wire, connection.data_received)
        connection.connection_lost(None)

    asyncio.run(talk())


def error_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def send_headers(wire: Wire, send: Callable[[bytes], None]) -> None:
    """Send headers of a kilobyte for as long as they are taken, which is not for long."""
    for number in range(1000):
        if wire.is_closing():
            break
        send(b"X-%d: %s\r\n" % (number, 1000 * b"x"))
    assert number < 70


def test_a_connection_that_says_nothing_is_closed() -> None:
    async def client(wire: Wire, send: Callable[[bytes], None]) -> None:
        assert await wire.end() == b""

    connect(client)


def test_a_head_that_comes_byte_by_byte_is_given_up_all_the_same() -> None:
    async def client(wire: Wire, send: Callable[[bytes], None]) -> None:
        for byte in b"GET / HTTP/1.1\r\nHost: " + 1000 * b"a":
            send(bytes([byte]))
            await asyncio.sleep(0.02)
            if wire.is_closing():
                break
        assert error_of(wire.written) == (408, LATE)

    connect(client)


@pytest.mark.parametrize("more", [b"GET /b HT", b"\r\n"])
def test_the_time_for_the_next_head_runs_from_its_first_byte(more: bytes) -> None:
    async def client(wire: Wire, send: Callable[[bytes], None]) -> None:
        send(ASK)
        await wire.answers(1)
        await asyncio.sleep(0.3)
        assert not wire.is_closing()
        before = len(wire.written)
        send(more)
        after = (await wire.end())[before:]
        assert (error_of(after) == (408, LATE)) if more.startswith(b"GET") else after == b""

    connect(client)


def test_what_is_being_answered_is_answered_though_the_next_head_is_late() -> None:
    async def client(wire: Wire, send: Callable[[bytes], None]) -> None:
        send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /b HT")
        await wire.answers(1)
        assert not wire.is_closing()
        send(b"TP/1.1\r\nHost: a\r\n\r\n")
        await wire.answers(2)
        assert b"408" not in wire.written

    connect(client)


def test_a_body_that_nobody_waits_for_does_not_keep_a_connection_open() -> None:
    async def client(wire: Wire, send: Callable[[bytes], None]) -> None:
        send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n")
        await wire.answers(1)
        before = wire.written
        while not wire.is_closing():
            send(b"x")
            await asyncio.sleep(0.02)
        assert wire.written == before

    connect(client)


def test_a_body_is_not_counted_as_the_head_behind_it() -> None:
    async def client(wire: Wire, send: Callable[[bytes], None]) -> None:
        body = (HEAD_BYTES + 1000) * b"x"
        send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        send(body + b"GET /b HT")
        send(b"TP/1.1\r\nHost: a\r\n\r\n")
        await wire.answers(2)
        assert not wire.is_closing()

    connect(client)


def test_a_head_without_an_end_is_refused_at_a_size() -> None:
    async def client(wire: Wire, send: Callable[[bytes], None]) -> None:
        send(b"GET / HTTP/1.1\r\n")
        send_headers(wire, send)
        assert error_of(wire.written) == (431, f"the head of a request may have {HEAD_BYTES} bytes here")

    connect(client)


def test_what_follows_the_last_piece_of_a_body_has_a_size_as_well() -> None:
    async def client(wire: Wire, send: Callable[[bytes], None]) -> None:
        send(b"POST /slow HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        send_headers(wire, send)
        assert wire.written == b""  # the job is at work on that request: nothing else is an answer to it

    connect(client)


def test_what_is_no_http_behind_a_request_is_not_taken_for_its_answer() -> None:
    async def client(wire: Wire, send: Callable[[bytes], None]) -> None:
        send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01 no HTTP\r\n\r\n")
        assert await wire.end() == b""

    connect(client)
