"""Variables that hold what a module is called: `name = frame.f_globals["__name__"]`, and then `name.startswith(skipped)`.

A variable counts within one function, or at the top level, and only where everything that is assigned to it there is the name
of a module, or `"?"` and the like, which is the name of none.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator

from .imports import name_of

__all__ = ["VARIABLES", "names_module", "variables_of_modules"]

VARIABLES = (
    rb"f_globals(?:\.get\(|\[)\s*[\"']__name__",
    rb"=\s*[\w.]+\.__module__\b",
    rb"__module__\.startswith\(\s*[^\s\"'(]",
    rb"getattr\([^\r\n]*[\"']__module__[\"']",
)
"""What a module has that has to be looked at for them."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def names_module(node: ast.expr) -> bool:
    """Whether an expression is the name of a module; `x.__name__` may be that of anything."""
    if isinstance(node, ast.Name):
        return node.id in ("__name__", "__package__")
    if isinstance(node, ast.Call):  # f_globals.get("__name__", ""), getattr(cls, "__module__", None)
        first = node.args[: 2 if name_of(node.func) == "getattr" else 1]
        names = ("__module__",) if name_of(node.func) == "getattr" else ("__name__", "__package__")
        known = name_of(node.func) in ("get", "getattr") and first and isinstance(first[-1], ast.Constant)
        return bool(known) and first[-1].value in names  # type: ignore[attr-defined]
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value in ("__name__", "__package__")
    return isinstance(node, ast.Attribute) and node.attr in ("__module__", "__package__")


def variables_of_modules(tree: ast.Module) -> frozenset[int]:
    """The places where such variables are read, by the `id` of their nodes."""
    scopes: list[ast.AST] = [tree, *(node for node in ast.walk(tree) if isinstance(node, _Function))]
    return frozenset(place for scope in scopes for place in _read_in(scope))


def _read_in(scope: ast.AST) -> Iterator[int]:
    own = list(_nodes_of(scope))
    bound = Counter(node.id for node in own if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load))
    if isinstance(scope, _Function):
        bound.update(node.arg for node in ast.walk(scope.args) if isinstance(node, ast.arg))
    bound.update(name for node in own if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names)
    of_modules = Counter(name for node in own for name in _assigned(node, names_module))
    of_none = Counter(name for node in own for name in _assigned(node, _names_nothing))
    variables = {name for name, times in of_modules.items() if times + of_none[name] == bound[name]}
    for node in own:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in variables:
            yield id(node)


def _nodes_of(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function that are not in one within it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _Function):
            waiting += ast.iter_child_nodes(node)


def _assigned(node: ast.AST, kind: Callable[[ast.expr], bool]) -> Iterator[str]:
    """The variables that a node assigns a value of some kind to."""
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
        targets = [node.target]
    else:
        return
    value = node.value.values[0] if isinstance(node.value, ast.BoolOp) else node.value  # … or "?"
    if value is not None and kind(value):
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _names_nothing(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and not re.fullmatch(r"[\w.]+", str(node.value or ""))
