"""Source that a package makes while it runs: a template's code, the methods of a class, a program for a child process.

What it imports of the package's roots is looked for under the package's name. Only names are put in: what was there stays
there, and on its line.

| written                   | relocated, in the package UID                                     |
|---------------------------|-------------------------------------------------------------------|
| `from mycompany import x` | `from UID.mycompany import x`                                     |
| `import mycompany.x as y` | `import UID.mycompany.x as y`                                     |
| `import mycompany`        | `import UID.mycompany as mycompany`                               |
| `import mycompany.x`      | `import UID.mycompany.x as mycompany, UID.mycompany as mycompany` |
| `import_module("mycompany.x")` | `import_module("UID." "mycompany.x")`                        |
| `__import__("mycompany.x")` | `LATE.import_("mycompany.x")`, see `late_names.py`              |
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from copy import deepcopy
from itertools import accumulate

from .roots import Roots

__all__ = ["relocated_imports", "relocated_tree"]

_FROM = re.compile(rb"from(?:\s|\\\r?\n?)+")
_BLOCK = b"if 1:\n"
_LATE = "tg.common.delivery.runtime.late_names"
_ENCODING = re.compile(rb"\s*#.*coding")


def relocated_imports(text: str | bytes, prefix: str, roots: Roots) -> str | bytes:
    """`text` with `prefix` before the names of roots that it imports; as it is where it does not parse."""
    if isinstance(text, bytes) and any(_ENCODING.match(line) for line in text.splitlines()[:2]):
        return text
    source = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    block = b""
    tree = _parsed(source)
    if tree is None:
        block = _BLOCK  # it may be indented, as text in tests is
        source = block + source
        tree = _parsed(source)
    if tree is None:
        return text
    starts = [0, *accumulate(map(len, source.splitlines(keepends=True)))]
    done, parts = 0, []
    for start, end, put in sorted(_edits(tree, source, starts, prefix, roots)):
        parts += [source[done:start], put.encode()]
        done = end
    changed = b"".join([*parts, source[done:]])[len(block) :]
    return changed if isinstance(text, bytes) else changed.decode("utf-8", "surrogatepass")


def relocated_tree(tree: ast.AST, prefix: str, roots: Roots) -> ast.AST:
    """The import statements of a syntax tree, changed so: a copy where it imports a root, and else the tree itself. Calls stay."""

    def names_root(node: ast.AST) -> bool:
        if isinstance(node, ast.ImportFrom):
            return not node.level and roots.inside(node.module or "") is not None
        return isinstance(node, ast.Import) and any(roots.inside(alias.name) for alias in node.names)

    if not any(map(names_root, ast.walk(tree))):
        return tree
    tree = deepcopy(tree)
    for node in filter(names_root, ast.walk(tree)):
        if isinstance(node, ast.ImportFrom):
            node.module = f"{prefix}{node.module}"
        elif isinstance(node, ast.Import):
            node.names = [one for alias in node.names for one in _aliases(alias, prefix, roots)]
    return tree


def _aliases(alias: ast.alias, prefix: str, roots: Roots) -> Iterator[ast.alias]:
    top, dot, _ = alias.name.partition(".")
    if not roots.inside(alias.name):
        yield alias
        return
    yield ast.copy_location(ast.alias(prefix + alias.name, alias.asname or top), alias)
    if dot and alias.asname is None:
        yield ast.copy_location(ast.alias(prefix + top, top), alias)


def _parsed(source: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whoever compiles it is told
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # null bytes; nesting deeper than the parser goes
        return None


def _edits(
    tree: ast.Module, source: bytes, starts: list[int], prefix: str, roots: Roots
) -> Iterator[tuple[int, int, str]]:
    """Where text is to be put in, and in the place of what."""

    def span(node: ast.stmt | ast.expr | ast.alias) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    for node in _outside_of_f_strings(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and roots.inside(node.module or ""):
            keyword = _FROM.match(source, span(node)[0])
            assert keyword is not None
            yield keyword.end(), keyword.end(), prefix
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if roots.inside(alias.name):
                    start, end = span(alias)
                    yield start, start, prefix
                    if alias.asname is None:
                        top, dot, _ = alias.name.partition(".")
                        yield end, end, f" as {top}" + (f", {prefix}{top} as {top}" if dot else "")
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name, function = node.args[0], ast.unparse(node.func).rpartition(".")[2]
            if not isinstance(name.value, str) or not roots.inside(name.value):
                continue
            if function == "__import__":
                late = f"__import__({prefix + _LATE!r}, fromlist=['here']).import_"
                yield (*span(node.func), late)
            elif function == "import_module":
                start, _ = span(name)
                yield start, start, f"{prefix!r} "


def _outside_of_f_strings(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but what is inside of f-strings, whose places are not known before Python 3.12."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.JoinedStr):
            waiting += ast.iter_child_nodes(node)
