"""The log of a container, from its engine: line by line as they come, and on where it was after the connection broke.

Each message comes with the time the engine took it, and `since` starts at a time, that one included. So what was had of
that very time is counted, and skipped when it comes again: nothing is lost, nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .log_lines import LogLines

__all__ = ["ContainerLogs"]

_HEADER_BYTES = 8  # stream, three zeros, length: "Stream format" of the engine's API, attach
_READ_BYTES = 256 * 1024
_PIECE_BYTES = 16 * 1024
"""The engine keeps a longer line in pieces of this length, and a rest."""


class ContainerLogs:
    """All that a container has written and writes. `read` goes on where the last `read` ended, on whatever connection."""

    def __init__(self, container: str, *, pieces_are_full: bool) -> None:
        """`pieces_are_full`: all pieces of a long line but the last have 16 KiB, as Docker makes them; podman does not."""
        self._container = container
        self._pieces_are_full = pieces_are_full
        self._time = b""
        """The time of the last message that was given on."""
        self._had = 0
        """How many messages of that time were."""
        self._lines = {1: LogLines(), 2: LogLines()}

    def read(self, api: Any, *, follow: bool = True) -> Iterator[str]:
        """Lines: those there are, and with `follow` also those to come, until the container ends or the connection does."""
        skip = self._had
        for stream, message in self._messages(api, follow=follow):
            time, _, text = message.partition(b" ")
            if time == self._time:
                if skip:
                    skip -= 1
                    continue
                self._had += 1
            else:
                self._time, self._had, skip = time, 1, 0
            # Docker 20.10's driver `local` forgets which piece was the last, and with it the end of the line (moby#40577).
            ends = self._pieces_are_full and not text.endswith(b"\n") and len(text) < _PIECE_BYTES
            yield from self._lines[stream].add(text + b"\n" if ends else text)

    def rest(self) -> Iterator[str]:
        """Last lines without an end, once the container has ended."""
        for lines in self._lines.values():
            yield from lines.rest()

    def _messages(self, api: Any, *, follow: bool) -> Iterator[tuple[int, bytes]]:
        """Messages as the engine keeps them: a line each, or a piece of a long one, which has no line end."""
        import docker
        import requests

        parameters: dict[str, Any] = {"follow": int(follow), "stdout": 1, "stderr": 1, "timestamps": 1}
        if self._time:
            parameters["since"] = _unix_time(self._time.decode())
        address = f"{api.base_url}/v{api.api_version}/containers/{self._container}/logs"
        with api.get(address, params=parameters, stream=True, timeout=None) as response:
            try:
                response.raise_for_status()
            except requests.HTTPError as error:  # as the SDK says it: an answer, and no connection that was lost
                docker.errors.create_api_error_from_http_exception(error)
            buffer = bytearray()
            while chunk := response.raw.read1(_READ_BYTES):
                buffer += chunk
                position = 0
                while len(buffer) - position >= _HEADER_BYTES:
                    end = position + _HEADER_BYTES + int.from_bytes(buffer[position + 4 : position + 8], "big")
                    if len(buffer) < end:
                        break
                    yield (2 if buffer[position] == 2 else 1), bytes(buffer[position + _HEADER_BYTES : end])
                    position = end
                del buffer[:position]


def _unix_time(text: str) -> str:
    """`2026-11-23T14:05:01.000000002Z` as `1795442701.000000002`: a float would round it."""
    from datetime import datetime, timezone

    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp())
    return f"{seconds}.{fraction:0<9}"
