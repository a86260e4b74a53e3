"""Heads of requests, within the limits of size and time, which uvicorn has not; what is no head is answered as other errors are."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .answers import error_response

__all__ = ["HEAD_BYTES", "BoundedHeads"]

HEAD_BYTES = 64 * 1024
"""How much of a head may come before its end is there, and how much of what follows the last piece of a body."""


class BoundedHeads(HttpToolsProtocol):
    """A connection. While none of its requests is being answered, it has so many seconds for the whole head of the next.

    They run from the connection on, and from the first byte after an answer: as long as none comes, uvicorn waits for
    `timeout_keep_alive`. The time and the size of a body are those who read it to limit.
    """

    def __init__(self, *arguments: Any, head_seconds: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_seconds = head_seconds
        self._in_head = False
        self._is_further = False
        self._bytes = 0
        """So many have come since the last head, piece of a body, or end of one."""
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._is_further = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._bytes = 0 if self._is_further else self._bytes + len(data)
        if self._bytes > HEAD_BYTES:
            self._refuse(431, f"the head of a request may have {HEAD_BYTES} bytes here")
        elif self._late is None and self.timeout_keep_alive_task is None and not self._is_answering():
            self._watch()

    def on_message_begin(self) -> None:
        """See `httptools`."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See `httptools`."""
        self._in_head = False
        self._is_further = True
        self._stop_watching()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See `httptools`."""
        self._is_further = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See `httptools`."""
        self._is_further = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; see `HttpToolsProtocol`."""
        self._refuse(400, msg)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: uvicorn advises to install what could do it, and any client could fill the log with that."""

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _watch(self) -> None:
        self._late = self.loop.call_later(self._head_seconds, self._give_up)

    def _stop_watching(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if self.transport.is_closing():
            return
        if self._in_head:
            self._refuse(408, "the head of the request has not come whole in time")
        else:  # nothing was asked, so there is nothing to answer
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        if not self._is_answering():  # or it would be taken for an answer to what was asked before
            response = error_response(message, status, connection="close")
            line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()
            headers = (b"%s: %s" % pair for pair in response.raw_headers)
            self.transport.write(b"\r\n".join([line, *headers, b"", response.body]))
        if status != 400:  # uvicorn has said so
            self.logger.warning(f"{message}: a connection was ended.")
        self.transport.close()
