"""The text of a module, and edits to it, by the places that the parser gives."""

from __future__ import annotations

import ast
import codecs
import re
from collections.abc import Iterable

__all__ = ["Edit", "SourceText", "edited"]

Edit = tuple[int, int, bytes]
"""From which byte to which, and what stands there then."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


def edited(source: bytes, edits: Iterable[Edit]) -> bytes:
    """`source` with all edits made, and itself where there are none."""
    parts, done = [], 0
    for start, end, put in sorted(edits):
        parts += [source[done:start], put]
        done = end
    return b"".join([*parts, source[done:]]) if parts else source


class SourceText:
    """Source text, and the edits to be made to it; positions come from the parser."""

    def __init__(self, source: bytes, encoding: str) -> None:
        self._source = source
        self._encoding = encoding
        self.text = text = source.decode(encoding)
        self._lines = _LINE.findall(text)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._edits: list[tuple[int, int, str]] = []

    def span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        """Where a node begins and ends; the parser counts lines from 1 and columns in bytes of UTF-8."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def replace(self, start: int, end: int, text: str) -> None:
        """Note an edit. It must have as many line breaks as what it replaces, so that all lines keep their numbers."""
        self._edits.append((start, end, text))

    def is_prefixed(self, node: ast.expr) -> bool:
        """Whether something is put before a node, now or when the package was delivered before."""
        start, _ = self.span(node)
        return self.text.endswith((' "." + ', " '.' + "), 0, start) or any(edit[0] == start for edit in self._edits)

    def edits(self) -> list[Edit]:
        """All that was noted, as edits of the file's bytes."""
        if not self._edits:
            return []
        encoding, mark = (self._encoding, b"") if self._encoding != "utf-8-sig" else ("utf-8", codecs.BOM_UTF8)
        result: list[Edit] = []
        done = text_done = 0
        for start, end, text in sorted(self._edits):
            begin = done + len(self.text[text_done:start].encode(encoding))
            done = begin + len(self.text[start:end].encode(encoding))
            text_done = end
            result.append((len(mark) + begin, len(mark) + done, text.encode(encoding)))
        return result

    def _offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())
