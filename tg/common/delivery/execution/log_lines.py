"""Log lines: bytes as they come, as lines of text, in constant memory however long a line is."""

from __future__ import annotations

__all__ = ["PIECE_BYTES", "LogLines"]

PIECE_BYTES = 64 * 1024
"""The longest line that is given in one; see `LogLines`."""

_LONGEST_CHARACTER = 4


class LogLines:
    """Takes chunks of bytes, cut anywhere, and gives the lines that are complete, without their ends.

    1. The lines do not depend on where the chunks were cut.
    2. A line ends with `\\n` or `\\r\\n`. One of more than 64 KiB comes in pieces, which joined are the line; no
       character is cut.
    3. Bytes that are no UTF-8 are written as `\\xNN`.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held_bytes = 0

    def add(self, chunk: bytes) -> list[str]:
        """The lines that are complete now, and pieces of one that has become too long."""
        end = chunk.rfind(b"\n")
        lines: list[str] = []
        if end >= 0:
            whole = b"".join([*self._parts, chunk[:end]])
            self._hold(chunk[end + 1 :], anew=True)
            for line in whole.split(b"\n"):
                lines += _pieces(line[:-1] if line.endswith(b"\r") else line)
        else:
            self._hold(chunk, anew=False)
        # Two more, for what may be the end of the line: no empty piece comes after a full one.
        if self._held_bytes >= PIECE_BYTES + 2:
            rest = b"".join(self._parts)
            while len(rest) >= PIECE_BYTES + 2:
                cut = _cut(rest)
                lines.append(_text(rest[:cut]))
                rest = rest[cut:]
            self._hold(rest, anew=True)
        return lines

    def rest(self) -> list[str]:
        """What is left when nothing more comes: a last line that has no end, if there is one."""
        rest = b"".join(self._parts)
        self._hold(b"", anew=True)
        return _pieces(rest) if rest else []

    def _hold(self, data: bytes, *, anew: bool) -> None:
        """Parts are joined when it is needed: a long line that comes byte by byte is not copied for each."""
        if anew:
            self._parts, self._held_bytes = [], 0
        if data:
            self._parts.append(bytes(data))
            self._held_bytes += len(data)


def _pieces(line: bytes) -> list[str]:
    pieces = []
    while len(line) > PIECE_BYTES:
        cut = _cut(line)
        pieces.append(_text(line[:cut]))
        line = line[cut:]
    pieces.append(_text(line))
    return pieces


def _cut(line: bytes) -> int:
    """Where the first piece of a long line ends: before the character that would be cut."""
    for back in range(_LONGEST_CHARACTER):
        if line[PIECE_BYTES - back] & 0xC0 != 0x80:  # no continuation byte, so something begins here
            return PIECE_BYTES - back
    return PIECE_BYTES


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
