"""What a module imports, and what of it is optional."""

from __future__ import annotations

import ast
import operator
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Import", "catches_import_error", "imports_in", "imports_of", "is_for_some_pythons", "name_of", "parsed"]

# Python 3.11 counts the depth of a tree for all threads together while it makes it, and fails when two do so at once
# (https://github.com/python/cpython/issues/106905).
_ONE_AT_A_TIME = threading.Lock()


_COMPARE: dict[type[ast.cmpop], Callable[[tuple[Any, ...], tuple[Any, ...]], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


@dataclass(frozen=True)
class Import:
    """One imported name, as in `from module import name`; `level` counts the leading dots.

    `optional`: the code goes on without it, since it stands in a `try` that catches the ImportError, or is there
    for type checkers or for other Pythons only. `instead_of`: modules for want of one of which it is imported, where it
    stands in what catches that.
    """

    line: int
    level: int
    module: str
    name: str | None
    optional: bool
    instead_of: tuple[str, ...] = ()


def imports_of(source: bytes) -> list[Import]:
    """Every import of a module, those in functions too. Raises `SyntaxError` as the compiler does."""
    return imports_in(parsed(source), source)


def imports_in(tree: ast.Module, source: bytes) -> list[Import]:
    """The same for a module that was parsed."""
    found: list[Import] = []
    _collect(tree, False, found)
    if b"import_module" in source:
        found += [item for node in ast.walk(tree) if isinstance(node, ast.Call) and (item := _called_import(node))]
    return found


def parsed(source: bytes | str, *, flags: int = 0) -> ast.Module:
    """The tree of a module, parsed with more `flags` of the compiler. Raises `SyntaxError` as the compiler does."""
    with _ONE_AT_A_TIME:
        tree: ast.Module = compile(source, "<unknown>", "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    return tree


def _collect(node: ast.AST, optional: bool, found: list[Import]) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found += [Import(child.lineno, 0, alias.name, None, optional) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            found += [
                Import(child.lineno, child.level, child.module or "", alias.name, optional) for alias in child.names
            ]
        elif isinstance(child, ast.Try) and any(catches_import_error(handler) for handler in child.handlers):
            begin = len(found)
            _collect(ast.Module(child.body, []), True, found)
            wanted = tuple({item.module: None for item in found[begin:] if not item.level})
            begin = len(found)
            _collect(ast.Module(list(child.handlers), []), optional, found)  # type: ignore[arg-type]
            found[begin:] = [replace(item, instead_of=item.instead_of or wanted) for item in found[begin:]]
            _collect(ast.Module([*child.orelse, *child.finalbody], []), optional, found)
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
    if name_of(call.func) == "import_module" and isinstance(name, ast.Constant) and isinstance(name.value, str):
        module = name.value.lstrip(".")
        level = len(name.value) - len(module)
        return Import(call.lineno, level, module, None, False) if level else None
    return None


def _skipped_at_run_time(branch: ast.If) -> list[ast.stmt] | None:
    """The part of an `if TYPE_CHECKING` or `if not TYPE_CHECKING` that only type checkers read, or that is for other Pythons."""
    if is_for_some_pythons(branch.test):
        taken = _holds_here(branch.test)
        return None if taken is None else branch.orelse if taken else branch.body
    if name_of(branch.test) == "TYPE_CHECKING":
        return branch.body
    if isinstance(branch.test, ast.UnaryOp) and isinstance(branch.test.op, ast.Not):
        return branch.orelse if name_of(branch.test.operand) == "TYPE_CHECKING" else None
    return None


def is_for_some_pythons(condition: ast.expr) -> bool:
    """Whether a condition asks which Python it is: `sys.version_info >= (3, 11)`."""
    return any(name_of(node) == "version_info" for node in ast.walk(condition) if isinstance(node, ast.expr))


def _holds_here(condition: ast.expr) -> bool | None:
    """What `sys.version_info >= (3, 11)` is here; `None` for what is not as simple as that."""
    if not isinstance(condition, ast.Compare) or len(condition.ops) != 1:
        return None
    compare = _COMPARE.get(type(condition.ops[0]))
    try:
        wanted = ast.literal_eval(condition.comparators[0])
    except ValueError:
        return None
    if name_of(condition.left) != "version_info" or compare is None or not isinstance(wanted, tuple):
        return None
    return compare(tuple(sys.version_info), wanted)


def _suppresses_import_error(item: ast.withitem) -> bool:
    call = item.context_expr
    return isinstance(call, ast.Call) and name_of(call.func) == "suppress" and _names_import_error(call.args)


def catches_import_error(handler: ast.ExceptHandler) -> bool:
    """Whether the code of a `try` goes on without what it imports."""
    if handler.type is None:
        return True
    return _names_import_error(handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])


def _names_import_error(caught: Sequence[ast.expr]) -> bool:
    return not {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}.isdisjoint(map(name_of, caught))


def name_of(node: ast.expr) -> str:
    """`b` for both `b` and `a.b`."""
    return node.attr if isinstance(node, ast.Attribute) else str(getattr(node, "id", ""))
