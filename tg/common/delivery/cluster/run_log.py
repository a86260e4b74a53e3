"""The log of a map, on this side: in memory while it is short, then in a file that goes with it."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator

from ..execution.log_lines import LogLines

__all__ = ["RunLog"]

_IN_MEMORY_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class RunLog:
    """Text is added to its end, and read as lines, from the first on, as often as somebody asks."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 closed with this
        weakref.finalize(self, self._file.close)

    def add(self, text: str) -> None:
        """Add text."""
        self._file.write(text.encode("utf-8", "backslashreplace"))

    def lines(self) -> Iterator[str]:
        """The lines that are there; see `Run.logs`."""
        lines, position = LogLines(), 0
        while True:
            self._file.seek(position)
            chunk = self._file.read(_CHUNK_BYTES)
            self._file.seek(0, os.SEEK_END)
            if not chunk:
                yield from lines.rest()
                return
            position += len(chunk)
            yield from lines.add(chunk)
