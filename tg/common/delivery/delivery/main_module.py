"""The module that what was run travels as, `UID.main`: the definitions of the script or the notebook that the payload needs.

What is left out of a script is blank there, so that each line has the number that it has in the script, for tracebacks,
debuggers and `inspect`. Cells stand one below the other, each below a comment that says which it is, with blank lines for
what is left out of them.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import resolve_name
from itertools import groupby

from ..runtime.errors import UndeliverableSource
from .definitions import Definitions
from .main_source import MainSource, Part
from .statements import Statement, blocks_of, first_line, tree_of

__all__ = ["MainModule"]

_RELATIVE = re.compile(rb"from(?:[ \t]*\.)+(?:[ \t]*(?!import\b)[\w.]+)?")
_NOT_FOR_A_MODULE = re.compile(rb"#!|#.*coding[:=]")
_HEAD = "# The cells of a notebook that a payload needs, in the order in which they were run.\n"


@dataclass(frozen=True)
class MainModule:
    """The text of the module, what messages call the place that it is from, and each line, and what the user should hear."""

    text: bytes
    location: str
    warnings: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    @classmethod
    def with_definitions(cls, source: MainSource, names: Iterable[str]) -> MainModule:
        """The module for a payload that refers to these names. `source` is that of what was run.

        Raises `UndeliverableSource` with all that is needed and cannot be had, each with its place and remedy.
        """
        chosen = Definitions.needed(source, names)
        if chosen.problems:
            raise UndeliverableSource(f"{source.location} cannot be delivered", chosen.problems)
        kept: dict[Part, list[Statement]] = {}
        for statement in chosen.statements:
            kept.setdefault(statement.part, []).append(statement)
        warnings = tuple(chosen.warnings)
        if len(source.parts) == 1 and not source.parts[0].cell:
            part = source.parts[0]
            text = _Rendering(part, kept.get(part, []), source.package, alone=True).text()
            return cls(text.encode(), source.location, warnings)
        features = sorted({one for statement in chosen.statements for one in statement.features})
        text = "".join([_HEAD, *(f"from __future__ import {one}\n" for one in features)])
        places = [source.location] * text.count("\n")
        for part, statements in kept.items():
            title = part.cell or os.path.basename(part.file or "")
            shown = _Rendering(part, statements, source.package).text()
            text += f"\n# {title}:\n{shown}"
            places += [source.location] * 2
            places += [part.place(line) for line in range(1, shown.count("\n") + 1)]
        return cls(text.encode(), f"main.py of {source.location}", warnings, tuple(places))


class _Rendering:
    """The text of one part with some of its statements. Edits keep all line breaks."""

    def __init__(self, part: Part, kept: Sequence[Statement], package: str, *, alone: bool = False) -> None:
        self._lines = part.text.encode().split(b"\n")
        self._body = tree_of(part).body
        self._kept = {_position(statement.node) for statement in kept}
        self._package = package
        if alone:
            self._kept |= {_position(node) for node in self._body if _begins_a_module(node, self._body[0])}

    def text(self) -> str:
        shown: set[int] = set()
        for group in _on_shared_lines(self._body):
            if any(map(self._keeps, group)):
                shown.update(self._with_comments(group))
        self._leave_out(self._body, is_top=True)
        lines = [line if number in shown else b"" for number, line in enumerate(self._lines, 1)]
        return b"\n".join(lines).decode().rstrip() + "\n"

    def _keeps(self, node: ast.stmt) -> bool:
        return _position(node) in self._kept or any(self._keeps(one) for block in blocks_of(node) for one in block)

    def _with_comments(self, group: Sequence[ast.stmt]) -> range:
        """The lines of some statements, and of the comments right above them."""
        first, last = first_line(group[0]), group[-1].end_lineno
        assert last is not None
        while first > 1 and (above := self._lines[first - 2].strip()).startswith(b"#"):
            if first <= 3 and _NOT_FOR_A_MODULE.match(above):
                break
            first -= 1
        return range(first, last + 1)

    def _leave_out(self, body: Sequence[ast.stmt], *, is_top: bool = False) -> None:
        """Take what is not kept out of a block; `pass` stands where nothing else does."""
        is_empty = not any(map(self._keeps, body))
        for group in reversed(list(_on_shared_lines(body))):
            if any(map(self._keeps, group)):
                for node in reversed(group):
                    if self._keeps(node):
                        for block in reversed(blocks_of(node)):
                            self._leave_out(block)
                        self._make_absolute(node)
                    else:
                        self._replace_among_others(node)
            elif not is_top:
                self._blank(group, b"pass" if is_empty and group[0] is body[0] else b"")

    def _blank(self, group: Sequence[ast.stmt], put: bytes) -> None:
        first, last = first_line(group[0]), group[-1].end_lineno
        assert last is not None
        line = self._lines[first - 1]
        if line[group[0].col_offset :].startswith(b"elif") and isinstance(group[0], ast.If):
            put = b""
        start = line.index(b"@") if first < group[0].lineno else group[0].col_offset
        self._lines[first - 1] = (line[:start] + put).rstrip()
        for number in range(first + 1, last + 1):
            self._lines[number - 1] = b""

    def _replace_among_others(self, node: ast.stmt) -> None:
        """A statement that shares a line with one that is kept."""
        last, end = node.end_lineno, node.end_col_offset
        assert last is not None
        assert end is not None
        line = self._lines[node.lineno - 1]
        if last == node.lineno:
            self._lines[last - 1] = line[: node.col_offset] + b"pass" + line[end:]
            return
        indentation = line[: len(line) - len(line.lstrip())]
        self._lines[node.lineno - 1] = line[: node.col_offset].rstrip()
        for number in range(node.lineno + 1, last):
            self._lines[number - 1] = b""
        self._lines[last - 1] = indentation + b"pass" + self._lines[last - 1][end:]

    def _make_absolute(self, kept: ast.stmt) -> None:
        """Relative imports start from the package that the script was run in (`python -m package.script`)."""
        for node in ast.walk(kept):
            if isinstance(node, ast.ImportFrom) and node.level and self._package:
                line = self._lines[node.lineno - 1]
                match = _RELATIVE.match(line, node.col_offset)
                if match is not None:
                    module = resolve_name("." * node.level + (node.module or ""), self._package).encode()
                    rest = line[match.end() :]
                    blank = b"" if rest[:1] in (b" ", b"\t", b"\\") else b" "
                    self._lines[node.lineno - 1] = line[: node.col_offset] + b"from " + module + blank + rest


def _begins_a_module(node: ast.stmt, first: ast.stmt) -> bool:
    """Whether it is the docstring of a module, or changes how the rest of it is read."""
    if isinstance(node, ast.Expr) and node is first:
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _position(node: ast.stmt) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _on_shared_lines(body: Sequence[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Statements in groups that have a line in common, as `a = 1; b = 2` has."""
    numbered: list[tuple[int, ast.stmt]] = []
    for node in body:
        joins = bool(numbered) and numbered[-1][1].end_lineno == first_line(node)
        numbered.append((numbered[-1][0] + (not joins) if numbered else 0, node))
    for _, group in groupby(numbered, key=lambda pair: pair[0]):
        yield [node for _, node in group]
