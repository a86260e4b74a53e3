"""What a module imports, and what of it is optional."""

from __future__ import annotations

import ast
import operator
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

__all__ = [
    "Import",
    "catches_import_error",
    "imports_in",
    "imports_of",
    "is_for_some_pythons",
    "name_of",
    "nodes_that_run",
    "parsed",
    "parsed_expression",
    "skipped_at_run_time",
]

# Python 3.11 counts the depth of a tree for all threads together while it makes it, and fails when two do so at once
# (https://github.com/python/cpython/issues/106905).
_ONE_AT_A_TIME = threading.Lock()


_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda value, wanted: value in wanted,
    ast.NotIn: lambda value, wanted: value not in wanted,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


@dataclass(frozen=True)
class Import:
    """One imported name, as in `from module import name`; `level` counts the leading dots.

    `optional`: the code goes on without it, since it stands in a `try` that catches the ImportError, is there for type
    checkers, other Pythons or other systems only, for a module that is run itself, or where `find_spec` was asked first.
    `instead_of`: modules for want of one of which it is imported, where it stands in what catches that.
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
    _collect(tree, False, found, calls=b"import_module" in source or b"__import__" in source)
    return found


def parsed(source: bytes | str, *, flags: int = 0) -> ast.Module:
    """The tree of a module, parsed with more `flags` of the compiler. Raises `SyntaxError` as the compiler does."""
    with _ONE_AT_A_TIME:
        tree: ast.Module = compile(source, "<unknown>", "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    return tree


def parsed_expression(text: str) -> ast.expr:
    """The tree of one expression. Raises `SyntaxError` as the compiler does."""
    with _ONE_AT_A_TIME:
        return ast.parse(text, mode="eval").body


def _collect(node: ast.AST, optional: bool, found: list[Import], *, calls: bool) -> None:
    """`calls`: also look for modules that are imported by calling a function, which takes longer."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found += [Import(child.lineno, 0, alias.name, None, optional) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            found += [
                Import(child.lineno, child.level, child.module or "", alias.name, optional) for alias in child.names
            ]
        elif isinstance(child, ast.Try) and any(catches_import_error(handler) for handler in child.handlers):
            begin = len(found)
            _collect(ast.Module(child.body, []), True, found, calls=calls)
            wanted = tuple({item.module: None for item in found[begin:] if not item.level})
            begin = len(found)
            _collect(ast.Module(list(child.handlers), []), optional, found, calls=calls)  # type: ignore[arg-type]
            found[begin:] = [replace(item, instead_of=item.instead_of or wanted) for item in found[begin:]]
            _collect(ast.Module([*child.orelse, *child.finalbody], []), optional, found, calls=calls)
        elif isinstance(child, ast.If) and (skipped := skipped_at_run_time(child)) is not None:
            _collect(ast.Module(skipped, []), True, found, calls=calls)
            rest = ast.Module(child.orelse if skipped is child.body else child.body, [])
            _collect(rest, optional, found, calls=calls)
        elif isinstance(child, ast.With) and any(_suppresses_import_error(item) for item in child.items):
            _collect(ast.Module(child.body, []), True, found, calls=calls)
        elif not isinstance(child, ast.expr):
            _collect(child, optional, found, calls=calls)
        elif calls:
            called = (_called_import(one, optional) for one in ast.walk(child) if isinstance(one, ast.Call))
            found += [one for one in called if one is not None]


def _called_import(call: ast.Call, optional: bool) -> Import | None:
    """`import_module(".x", __package__)`, `importlib.import_module("x")`, `__import__("x")`."""
    name = call.args[0] if call.args else None
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return None
    module = name.value.lstrip(".")
    level = len(name.value) - len(module)
    function = name_of(call.func)
    holder = call.func.value if isinstance(call.func, ast.Attribute) else None
    is_pythons = holder is None or name_of(holder) == "importlib"
    if (function == "import_module" and (level or is_pythons)) or (function == "__import__" and is_pythons):
        return Import(call.lineno, level, module, None, optional)
    return None


def skipped_at_run_time(branch: ast.If) -> list[ast.stmt] | None:
    """The part of an `if` that is not run here, or that only type checkers read, as far as reading tells; `None` if none is known.

    Of a part that is run when some module is there (`if find_spec("x")`), it is that one.
    """
    holds = _holds_here(branch.test)
    if holds is not None:
        return branch.orelse if holds else branch.body
    if any(isinstance(node, ast.Call) and name_of(node.func) == "find_spec" for node in ast.walk(branch.test)):
        return branch.orelse if _is_negative(branch.test) else branch.body
    return None


def nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """As `ast.walk` has them, but for those in the parts of an `if` that are not run."""
    waiting = deque([tree])
    while waiting:
        node = waiting.popleft()
        yield node
        skipped = skipped_at_run_time(node) if isinstance(node, ast.If) else None
        if isinstance(node, ast.If) and skipped is not None:
            waiting += [node.test, *(node.orelse if skipped is node.body else node.body)]
        else:
            waiting += ast.iter_child_nodes(node)


def is_for_some_pythons(condition: ast.expr) -> bool:
    """Whether a condition asks which Python it is: `sys.version_info >= (3, 11)`."""
    return any(name_of(node) == "version_info" for node in ast.walk(condition) if isinstance(node, ast.expr))


def _holds_here(condition: ast.expr) -> bool | None:
    """What a condition is in a package here: of the Python, the system, or what is only so for type checkers; else `None`."""
    if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
        holds = _holds_here(condition.operand)
        return None if holds is None else not holds
    if isinstance(condition, ast.BoolOp):
        decisive = isinstance(condition.op, ast.Or)
        parts = [_holds_here(one) for one in condition.values]
        return decisive if decisive in parts else None if None in parts else not decisive
    if isinstance(condition, ast.Call) and name_of(condition.func) == "startswith" and len(condition.args) == 1:
        return _compared(sys.platform.startswith, getattr(condition.func, "value", None), condition.args[0])
    if isinstance(condition, ast.Compare) and len(condition.ops) == 1:
        if "__name__" in map(name_of, (condition.left, condition.comparators[0])):
            return _is_module(condition)
        compare = _COMPARE.get(type(condition.ops[0]))
        value = _value_here(condition.left)
        if compare is not None and value is not None:
            return _compared(lambda wanted: compare(value, wanted), condition.left, condition.comparators[0])
    return False if name_of(condition) == "TYPE_CHECKING" else None


def _is_module(condition: ast.Compare) -> bool | None:
    """What `__name__ == "__main__"` is in a module that is imported."""
    if not any(isinstance(one, ast.Constant) and one.value == "__main__" for one in ast.walk(condition)):
        return None
    return isinstance(condition.ops[0], (ast.NotEq, ast.NotIn))


def _compared(compare: Callable[[Any], bool], left: ast.expr | None, right: ast.expr) -> bool | None:
    if left is None or _value_here(left) is None:
        return None
    try:
        return compare(ast.literal_eval(right))
    except (ValueError, TypeError):
        return None


def _value_here(node: ast.expr) -> Any:
    """`None` for what is not known before it is run."""
    if name_of(node) == "version_info":
        return tuple(sys.version_info)
    return {
        "sys.platform": sys.platform,
        "os.name": os.name,
        "platform.system()": {"darwin": "Darwin", "win32": "Windows", "linux": "Linux"}.get(sys.platform),
    }.get(ast.unparse(node))


def _is_negative(condition: ast.expr) -> bool:
    """Whether it asks that something is not there: `not …`, `… is None`."""
    if isinstance(condition, ast.Compare):
        return isinstance(condition.ops[0], ast.Is)
    return isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not)


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
