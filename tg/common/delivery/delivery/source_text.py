"""The text of a module, and edits to it, by the places that the parser gives."""

from __future__ import annotations

import ast
import re

__all__ = ["SourceText"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


class SourceText:
    """Source text, and the edits to be made to it; positions come from the parser."""

    def __init__(self, text: str) -> None:
        self.text = text
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

    def edited(self) -> str:
        """The text with all edits made, and unchanged where there are none."""
        result, done = [], 0
        for start, end, text in sorted(self._edits):
            result += [self.text[done:start], text]
            done = end
        return "".join([*result, self.text[done:]])

    def _offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())
