"""Heads of requests, within the limits of size and time, which uvicorn has not; what is no head is answered as other errors are."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HEAD_BYTES", "BoundedHeads"]

HEAD_BYTES = 64 * 1024
"""How much the line and the headers of a request may have. What comes in one piece with their end is not counted."""


class BoundedHeads(HttpToolsProtocol):
    """A connection, on which a head has so many seconds to come whole, from the connection or its first byte on."""

    def __init__(self, *arguments: Any, head_seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_seconds = head_seconds
        self._in_head = True
        self._head_bytes = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self._head_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._forget_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431, f"the head of a request may have {HEAD_BYTES} bytes here")

    def on_message_begin(self) -> None:
        """See `httptools`."""
        self._in_head = True
        if self._late is None:
            self._late = self.loop.call_later(self._head_seconds, self._give_up)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See `httptools`."""
        self._in_head = False
        self._head_bytes = 0
        self._forget_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; see `HttpToolsProtocol`."""
        self._refuse(400, msg)

    def _give_up(self) -> None:
        self._late = None
        if self.transport.is_closing():
            return
        if self._head_bytes:
            self._refuse(408, "the head of the request has not come whole in time")
        else:  # nothing was asked, so there is nothing to answer
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        body = msgspec.json.encode({"error": message})
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "connection: close",
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()

    def _forget_timer(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
