"""Relocation of source: `import tg.x` is made to mean the package's own tree, wherever that tree is.

An absolute import of a root becomes the relative import that means the same: `from tg.x import y` in `tg/a/b.py`
becomes `from ..x import y`. So relocated text is the same for every UID, and works under any name that a tree gets
(see `runtime/module_tree.py`); a delivered package can be delivered again as it is. Another root is one level further up.

| written in `tg/a/b.py`            | relocated                                                |
|-----------------------------------|----------------------------------------------------------|
| `from tg.x import y`              | `from ..x import y`                                      |
| `from tg import x`                | `from .. import x`                                       |
| `import tg.x.y as z`              | `from ..x import y as z`                                 |
| `import tg`                       | `from ... import tg`                                     |
| `import tg.x`                     | `from ..x import __doc__ as tg; from ... import tg`      |
| `import_module` of `"tg.x"`       | `import_module` of `"..x", __spec__.parent`              |
| `from mycompany.x import y`       | `from ...mycompany.x import y`                           |
| `import mycompany`                | `from ... import mycompany`                              |

Only the statement itself changes: lines keep their numbers, the file its encoding and its line ends. Names that are
made at run time cannot be seen here; they are reported.
"""

from __future__ import annotations

import ast
import codecs
import io
import re
import threading
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Import", "Relocated", "imports_of", "may_need_relocation", "relocate"]

# What may refer to the tree absolutely. Everything else is spared the parser. Each begins with a text of its own, and
# nothing is looked for before it: so a search is five times as fast, and what is found in a docstring is parsed in vain.
_STATEMENTS = (
    rb"from(?:[ \t\f]|\\\r?\n?)+%(root)s\b",
    rb"import\b[^\r\n;]*(?:\b%(root)s\b|\\(?:[\r\n]|$))",
)
_CALLS = (
    rb"import_module\s*\((?!\s*[\"']\.)",
    rb"__import__\s*\((?!\s*[\"']\.)",
    *(rb"%s\s*\(\s*[\"']%%(root)s\b" % name for name in (b"files", b"find_spec", b"get_data", b"run_module")),
)
_TAKE_MODULE_NAMES = frozenset({"import_module", "__import__", "files", "find_spec", "get_data", "run_module"})
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_BREAK = re.compile(r"\\(\r\n|\r|\n)")
_BLANK = r"(?:[ \t\f]|\\(?:\r\n|\r|\n))"
_FROM = re.compile(rf"from{_BLANK}+(?P<module>\w+(?:{_BLANK}*\.{_BLANK}*\w+)*)")
_LITERAL = re.compile(r"(?P<quote>'|\")(?P<value>[\w.]+)(?P=quote)")
# Python 3.11 counts the depth of a tree for all threads together while it makes it, and fails when two do so at once
# (https://github.com/python/cpython/issues/106905).
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Relocated:
    """Relocated source, and what could not be: the places, as `(line number, what stands there)`."""

    source: bytes
    unresolved: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Import:
    """One imported name, as in `from module import name`; `level` counts the leading dots.

    `optional`: the code goes on without it, since it stands in a `try` that catches the ImportError, or is there
    for type checkers only.
    """

    line: int
    level: int
    module: str
    name: str | None
    optional: bool


def may_need_relocation(source: bytes, roots: Sequence[str]) -> bool:
    """Whether it is worth parsing `source` to look for absolute references to `roots`: what it says no to has none."""
    source = source.removeprefix(codecs.BOM_UTF8)
    if not any(word in source for word in (*(root.encode() for root in roots), b"import_module", b"__import__")):
        return False  # most files, and far sooner told than by a pattern
    return _matches(_STATEMENTS, source, roots) or _matches(_CALLS, source, roots)


def relocate(source: bytes, roots: Sequence[str], path: str) -> Relocated:
    """Make the absolute references to `roots` in one module relative.

    `path` is that of the module inside a package: `tg/a/b.py`, or `tool.py` for a root that is a single module. Raises
    `SyntaxError` as the compiler does.
    """
    place = _Place(tuple(roots), path)
    tree = _parsed(source)
    encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
    text = _Text(source.decode(encoding))
    unresolved = []
    # Calls stand anywhere in expressions, which are most of a tree; imports only where statements do.
    for node in ast.walk(tree) if _matches(_CALLS, source, roots) else _statements(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module and place.has(node.module):
            _relocate_from(node, text, place)
        elif isinstance(node, ast.Import) and any(place.has(alias.name) for alias in node.names):
            _relocate_import(node, text, place)
        elif isinstance(node, ast.Call) and (found := _look_at_call(node, text, place)) is not None:
            unresolved.append(found)
    relocated = text.edited()
    return Relocated(relocated.encode(encoding) if relocated != text.text else source, tuple(sorted(unresolved)))


def imports_of(source: bytes) -> list[Import]:
    """Every import of a module, those in functions too. Raises `SyntaxError` as the compiler does."""
    found: list[Import] = []
    tree = _parsed(source)
    _collect(tree, False, found)
    if b"import_module" in source:
        found += [item for node in ast.walk(tree) if isinstance(node, ast.Call) and (item := _called_import(node))]
    return found


def _parsed(source: bytes) -> ast.Module:
    with _ONE_AT_A_TIME:
        return ast.parse(source)


def _matches(patterns: Sequence[bytes], source: bytes, roots: Sequence[str]) -> bool:
    names = b"(?:%b)" % b"|".join(re.escape(root.encode()) for root in roots)
    return any(re.search(pattern % {b"root": names}, source) for pattern in patterns)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, block, ()):
            yield child
            yield from _statements(child)


def _collect(node: ast.AST, optional: bool, found: list[Import]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found += [Import(child.lineno, 0, alias.name, None, optional) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            found += [
                Import(child.lineno, child.level, child.module or "", alias.name, optional) for alias in child.names
            ]
        elif isinstance(child, ast.Try) and any(_catches_import_error(handler) for handler in child.handlers):
            _collect(ast.Module(child.body, []), True, found)
            rest = ast.Module([*child.handlers, *child.orelse, *child.finalbody], [])  # type: ignore[list-item]
            _collect(rest, optional, found)
        elif isinstance(child, ast.If) and (skipped := _skipped_at_run_time(child)) is not None:
            _collect(ast.Module(skipped, []), True, found)
            _collect(ast.Module(child.orelse if skipped is child.body else child.body, []), optional, found)
        elif isinstance(child, ast.With) and any(_suppresses_import_error(item) for item in child.items):
            _collect(ast.Module(child.body, []), True, found)
        elif not isinstance(child, ast.expr):
            _collect(child, optional, found)


def _called_import(call: ast.Call) -> Import | None:
    """`import_module(".x", __package__)` and its like."""
    name = call.args[0] if call.args else None
    if _name_of(call.func) == "import_module" and isinstance(name, ast.Constant) and isinstance(name.value, str):
        module = name.value.lstrip(".")
        level = len(name.value) - len(module)
        return Import(call.lineno, level, module, None, False) if level else None
    return None


def _skipped_at_run_time(branch: ast.If) -> list[ast.stmt] | None:
    """The part of an `if TYPE_CHECKING` or `if not TYPE_CHECKING` that only type checkers read."""
    if _name_of(branch.test) == "TYPE_CHECKING":
        return branch.body
    if isinstance(branch.test, ast.UnaryOp) and isinstance(branch.test.op, ast.Not):
        return branch.orelse if _name_of(branch.test.operand) == "TYPE_CHECKING" else None
    return None


def _suppresses_import_error(item: ast.withitem) -> bool:
    call = item.context_expr
    return isinstance(call, ast.Call) and _name_of(call.func) == "suppress" and _names_import_error(call.args)


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return _names_import_error(handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])


def _names_import_error(caught: Sequence[ast.expr]) -> bool:
    return not {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}.isdisjoint(map(_name_of, caught))


def _name_of(node: ast.expr) -> str:
    """`b` for both `b` and `a.b`."""
    return node.attr if isinstance(node, ast.Attribute) else str(getattr(node, "id", ""))


class _Place:
    """Where a module is among the roots, and so how it names another one relatively."""

    def __init__(self, roots: tuple[str, ...], path: str) -> None:
        self._roots = roots
        *packages, _ = path.split("/")
        self._own = packages[0] if packages else None
        self.above = "." * (len(packages) + 1)
        """The package above the roots, seen from the module."""

    def has(self, name: str) -> bool:
        """Whether a module of that name is in one of the roots."""
        return name.partition(".")[0] in self._roots

    def relative(self, name: str) -> str:
        """`..x` for `tg.x`. In the module's own root without the root's name, since that may be another one some day."""
        top, _, rest = name.partition(".")
        return self.above[1:] + rest if top == self._own else self.above + name


class _Text:
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


def _relocate_from(node: ast.ImportFrom, text: _Text, place: _Place) -> None:
    """`from tg.x import …`: the dotted name is all that changes."""
    start, end = text.span(node)
    match = _FROM.match(text.text, start, end)
    assert match is not None and node.module is not None
    text.replace(*match.span("module"), place.relative(node.module) + _breaks(match["module"]))


def _relocate_import(node: ast.Import, text: _Text, place: _Place) -> None:
    """`import tg.x, os`: one statement for each name, on the same line, since only `from` can be relative.

    `import tg.x` imports a module and binds another one. What every module has is bound for a moment, so that it is the
    module that is imported also where its package has something else of that name.
    """
    parts = []
    for alias in node.names:
        if not place.has(alias.name):
            parts.append("import " + alias.name + (f" as {alias.asname}" if alias.asname else ""))
            continue
        parent, _, last = alias.name.rpartition(".")
        top = alias.name.partition(".")[0]
        if alias.asname and parent:
            parts.append(f"from {place.relative(parent)} import {last} as {alias.asname}")
            continue
        if parent:
            parts.append(f"from {place.relative(alias.name)} import __doc__ as {top}")
        name = alias.asname or top
        parts.append(f"from {place.above} import {top}" + (f" as {name}" if name != top else ""))
    start, end = text.span(node)
    keyword, _, rest = "; ".join(parts).partition(" ")
    text.replace(start, end, f"{keyword} {_breaks(text.text[start:end])}{rest}")


def _breaks(text: str) -> str:
    """The continued line ends of a text, and nothing between them."""
    return "".join(f"\\{line_break}" for line_break in _BREAK.findall(text))


def _look_at_call(node: ast.Call, text: _Text, place: _Place) -> tuple[int, str] | None:
    """Relocate a module name that is given to a function, or tell why it cannot be."""
    function = _name_of(node.func)
    given = node.args[:1] or [
        keyword.value for keyword in node.keywords if keyword.arg in ("name", "mod_name", "package")
    ]
    if function not in _TAKE_MODULE_NAMES or not given:
        return None
    start, end = text.span(node)
    shown = " ".join(text.text[start:end].split())
    name, more = given[0], not node.args or len(node.args) > 1 or bool(node.keywords)
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        if not place.has(name.value):
            return None
        start, end = text.span(name)
        quoted = _LITERAL.fullmatch(text.text, start, end)
        if function == "import_module" and not more and quoted is not None and quoted["value"] == name.value:
            relative = place.relative(name.value)
            text.replace(start, end, f"{quoted['quote']}{relative}{quoted['quote']}, __spec__.parent")
            return None
        return node.lineno, shown  # also where the literal is in pieces, or its place in an f-string is not known
    if function not in ("import_module", "__import__") or (node.args and more and function == "import_module"):
        return None  # a package is given: the name is a relative one
    begin = name.values[0] if isinstance(name, ast.JoinedStr) and name.values else None
    if isinstance(begin, ast.Constant) and "." in str(begin.value) and not place.has(str(begin.value)):
        return None  # f"plugins.{name}": made at run time, but certainly in no root
    return node.lineno, shown
