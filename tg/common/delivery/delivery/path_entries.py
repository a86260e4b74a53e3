"""Folders that source puts on `sys.path`, and files that it imports by their path: they may be the package's own.

| written                                   | relocated                                              |
|-------------------------------------------|--------------------------------------------------------|
| `sys.path.insert(0, folder)`              | `sys.path.insert(0, ENTRIES.known(folder))`            |
| `sys.path += folders`                     | `sys.path += ENTRIES.known(folders)`                   |
| `spec_from_file_location(name, path)`     | `ENTRIES.telling(spec_from_file_location)(name, path)` |
| `exec(code, space)`                       | `exec(*ENTRIES.executed(code, space))`                 |

where `ENTRIES` is an expression that imports `runtime/path_entries.py` of the package.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .imports import name_of

__all__ = ["PATHS", "PATH_WORDS", "executes_in_space", "path_entries_in"]

PATHS = (
    rb"sys\.path(?:\.(?:insert|append|extend)\(|\[[^]\r\n]*\]\s*=|\s*\+?=(?!=))",
    rb"syspath_prepend\(",
    rb"addsitedir\(",
    rb"spec_from_file_location\(",
)
"""What a module has that has to be looked at here."""

PATH_WORDS = b"sys.path", b"path_prepend(", b"addsitedir(", b"_location("
"""One of them is in whatever has any of those, and is found far sooner."""


def path_entries_in(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Expressions of one node that the package is to look at, each with the function of its runtime that does."""
    if isinstance(node, (ast.Assign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(_is_path(one.value if isinstance(one, ast.Subscript) else one) for one in targets):
            yield node.value, "known"
    elif isinstance(node, ast.Call) and name_of(node.func) == "spec_from_file_location":
        yield node.func, "telling"
    elif isinstance(node, ast.Call) and _takes_entry(node.func):
        yield from ((one, "known") for one in node.args[-1:] if not isinstance(one, (ast.Constant, ast.Starred)))


def executes_in_space(node: ast.AST) -> bool:
    """Whether a node executes code, which may be that of a file, in other globals than its own."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "exec":
        return False
    return len(node.args) > 1 and not node.keywords and not any(isinstance(one, ast.Starred) for one in node.args)


def _takes_entry(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute) and _is_path(function.value):
        return function.attr in ("insert", "append", "extend")
    return name_of(function) in ("syspath_prepend", "addsitedir")


def _is_path(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "path" and name_of(node.value) == "sys"
