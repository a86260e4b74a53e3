"""Answers over HTTP: JSON, errors in one form, `{"error": "…"}`, which is that of the Open Inference Protocol as well."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Send

from .bodies import ENCODINGS

__all__ = ["JsonResponse", "encoding_for", "error_response", "send_bytes"]

_JSON = (b"content-type", b"application/json")
_BYTES = (b"content-type", b"application/octet-stream")
_WORTH_IT_BYTES = 1024
_TAKES_LONG_BYTES = 64 * 1024
_LEVEL = 1
"""The fastest: on the networks between a service and its clients more does not pay."""


class JsonResponse(Response):
    """A value that msgspec can write."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """See `starlette.responses.Response`."""
        return msgspec.json.encode(content)


def error_response(message: str, status: int, **headers: str) -> Response:
    """An error, in one sentence."""
    return JsonResponse({"error": message}, status, {name.replace("_", "-"): value for name, value in headers.items()})


async def send_bytes(
    send: Send,
    status: int,
    body: bytes,
    headers: list[tuple[bytes, bytes]],
    *,
    binary: bool = False,
    encoding: bytes | None = None,
) -> None:
    """Send an answer without a response object: what is done for every request."""
    named = [_BYTES if binary else _JSON, *headers]
    if encoding is not None and len(body) >= _WORTH_IT_BYTES:
        named += [(b"content-encoding", encoding), (b"vary", b"accept-encoding")]
        body = (
            await asyncio.to_thread(_packed, body, encoding)
            if len(body) > _TAKES_LONG_BYTES
            else _packed(body, encoding)
        )
    named.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": body})


def encoding_for(accepted: bytes | None) -> bytes | None:
    """The content encoding that a client's `Accept-Encoding` asks for first of those known here (RFC 9110, 12.5.3)."""
    if not accepted:
        return None
    found: list[tuple[float, bytes]] = []
    for one in accepted.lower().split(b","):
        name, _, weight = one.strip().partition(b";")
        try:
            quality = float(weight.strip().removeprefix(b"q=") or 1)
        except ValueError:
            continue
        if name.strip() in ENCODINGS and quality > 0:
            found.append((quality, name.strip()))
    return max(found, key=lambda one: one[0])[1] if found else None  # of equals, the first


def _packed(body: bytes, encoding: bytes) -> bytes:
    packing = zlib.compressobj(_LEVEL, wbits=ENCODINGS[encoding])
    return packing.compress(body) + packing.flush()
