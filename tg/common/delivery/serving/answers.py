"""Answers over HTTP: JSON, errors in one form, `{"error": "…"}`, which is that of the Open Inference Protocol as well."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Send

__all__ = ["JsonResponse", "error_response", "send_bytes"]

_JSON = (b"content-type", b"application/json")


class JsonResponse(Response):
    """A value that msgspec can write."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """See `starlette.responses.Response`."""
        return msgspec.json.encode(content)


def error_response(message: str, status: int, **headers: str) -> Response:
    """An error, in one sentence."""
    return JsonResponse({"error": message}, status, {name.replace("_", "-"): value for name, value in headers.items()})


async def send_bytes(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send an answer without a response object: what is done for every request."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})
