"""What of a script may be evaluated again where the package is loaded: what makes a value and does nothing else.

Literals, names, operators, and calls of classes and of those functions of Python that are known to make a value. What any
other function gives may have taken an hour, or have been read from a file that is not there; that is not told by looking.
"""

from __future__ import annotations

import ast
import builtins
from abc import ABCMeta
from collections.abc import Mapping
from types import ModuleType
from typing import Any

__all__ = ["MUTABLE", "PLAIN", "only_says", "what_is_done", "what_it_does"]

PLAIN = (str, bytes, int, float, complex, bool, type(None), tuple, frozenset)
MUTABLE = (list, dict, set)

_BUILTINS = frozenset(
    "abs all any ascii bin callable chr divmod format getattr hasattr hash hex isinstance issubclass iter len max min "
    "next oct ord pow repr round sorted sum".split()
)
_ASSIGNING = frozenset({"delattr", "setattr"})
"""They do what a statement does that assigns an attribute; whose it is, `changes.py` knows."""
_PATH_FUNCTIONS = {"abspath", "basename", "dirname", "join", "normpath", "split", "splitext"}
_FUNCTIONS = {
    "collections": {"namedtuple"},
    "copy": {"copy", "deepcopy"},
    "dataclasses": {"dataclass", "field", "make_dataclass", "replace"},
    "functools": {"cache", "lru_cache", "reduce", "singledispatch", "total_ordering", "wraps"},
    "importlib.util": {"find_spec"},
    "logging": {"getLogger"},
    "re": {"compile", "escape"},
    "struct": {"calcsize"},
    "textwrap": {"dedent", "indent"},
    "threading": {"Lock", "RLock", "local"},
    "typing": {"NamedTuple", "NewType", "TypedDict", "cast"},
    "typing_extensions": {"NamedTuple", "NewType", "TypedDict"},
    "ntpath": _PATH_FUNCTIONS,
    "posixpath": _PATH_FUNCTIONS,
}
_WHOLE_MODULES = frozenset({"cmath", "math", "operator", "_operator"})
_PATH_METHODS = frozenset(
    "absolute as_posix expanduser joinpath relative_to resolve with_name with_stem with_suffix".split()
)
_REACH_OUT = frozenset(
    "asyncio concurrent ftplib http mmap multiprocessing shelve smtplib socket sqlite3 ssl subprocess tarfile tempfile "
    "urllib zipfile".split()
)
"""Modules of Python whose classes open, connect or start something when an object of them is made."""

_TRANSPARENT = (
    ast.Attribute,
    ast.BinOp,
    ast.BoolOp,
    ast.Compare,
    ast.Constant,
    ast.Dict,
    ast.DictComp,
    ast.FormattedValue,
    ast.GeneratorExp,
    ast.IfExp,
    ast.JoinedStr,
    ast.List,
    ast.ListComp,
    ast.Name,
    ast.NamedExpr,
    ast.Set,
    ast.SetComp,
    ast.Slice,
    ast.Starred,
    ast.Subscript,
    ast.Tuple,
    ast.UnaryOp,
)
_PLAIN_NODES = (
    ast.Constant,
    ast.Dict,
    ast.DictComp,
    ast.JoinedStr,
    ast.List,
    ast.ListComp,
    ast.Set,
    ast.SetComp,
    ast.Tuple,
)


def what_it_does(node: ast.stmt, namespace: Mapping[str, Any]) -> str | None:
    """What a statement does besides defining something, as text; `None` when it may be run again."""
    if isinstance(
        node,
        (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Pass, ast.Raise),
    ):
        return None
    if isinstance(node, (ast.Assign, ast.AugAssign)):
        parts: list[ast.AST | None] = [node.value, *(node.targets if isinstance(node, ast.Assign) else [])]
    elif isinstance(node, (ast.AnnAssign, ast.Expr)):
        parts = [node.value]
    elif type(node).__name__ == "TypeAlias":
        return None
    else:
        return ast.unparse(node).partition("\n")[0]
    return next((done for part in parts if (done := what_is_done(part, namespace)) is not None), None)


def only_says(node: ast.stmt) -> bool:
    """Whether a statement only tells somebody something."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call):
        return False
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    return name in ("print", "display", "warn", "debug", "info", "warning", "error", "exception")


def what_is_done(node: ast.AST | None, namespace: Mapping[str, Any]) -> str | None:
    """What an expression does besides making a value, as text; `None` when it may be evaluated again.

    `namespace` has the objects that its names stand for, which tell a class from a function.
    """
    if node is None or isinstance(node, ast.Lambda):
        return None
    if isinstance(node, ast.Call):
        if not _makes_a_value(node.func, namespace):
            return f"{ast.unparse(node.func)}(…)"
        children: list[ast.AST] = [node.func, *node.args, *node.keywords]
    elif isinstance(node, (*_TRANSPARENT, ast.comprehension, ast.keyword)):
        children = list(ast.iter_child_nodes(node))
    elif isinstance(node, (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)):
        return None
    else:
        return ast.unparse(node)
    return next((done for child in children if (done := what_is_done(child, namespace)) is not None), None)


def _makes_a_value(function: ast.expr, namespace: Mapping[str, Any]) -> bool:
    known, found = _value_of(function, namespace)
    if known and _is_known_to_make_one(found):
        return True
    if not isinstance(function, ast.Attribute):
        return False
    receiver = function.value
    if _is_plain(receiver, namespace):
        return True
    known, found = _value_of(receiver, namespace)
    if known and isinstance(found, type):
        return found in (*PLAIN, *MUTABLE) or (isinstance(found, ABCMeta) and function.attr == "register")
    return function.attr in _PATH_METHODS and _is_path(receiver, namespace)


def _is_known_to_make_one(found: Any) -> bool:
    module = getattr(found, "__module__", None)
    if isinstance(found, type):
        return not isinstance(module, str) or module.partition(".")[0] not in _REACH_OUT
    name = getattr(found, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    if module in ("builtins", "_thread"):
        return name in _BUILTINS | _ASSIGNING or name in ("allocate_lock", "lock", "RLock")
    return module in _WHOLE_MODULES or name in _FUNCTIONS.get(module, ())


def _value_of(node: ast.expr, namespace: Mapping[str, Any]) -> tuple[bool, Any]:
    """Whether it is known what a dotted name stands for, and what; only modules are looked into, by what they hold."""
    if isinstance(node, ast.Name):
        for names in (namespace, vars(builtins)):
            if node.id in names:
                return True, names[node.id]
    elif isinstance(node, ast.Attribute):
        known, holder = _value_of(node.value, namespace)
        if known and isinstance(holder, ModuleType) and node.attr in vars(holder):
            return True, vars(holder)[node.attr]
    elif isinstance(node, ast.Subscript):  # `Box[int](…)`
        return _value_of(node.value, namespace)
    return False, None


def _is_plain(node: ast.expr, namespace: Mapping[str, Any]) -> bool:
    """Whether an expression gives one of Python's own values, whose methods do nothing to anything else."""
    if isinstance(node, _PLAIN_NODES):
        return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _is_plain(node.func.value, namespace)
    if isinstance(node, ast.BinOp):
        return _is_plain(node.left, namespace)
    return isinstance(node, ast.Name) and type(namespace.get(node.id, node)) in (*PLAIN, *MUTABLE)


def _is_path(node: ast.expr, namespace: Mapping[str, Any]) -> bool:
    while isinstance(node, ast.Attribute) or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    _, found = _value_of(node.func if isinstance(node, ast.Call) else node, namespace)
    kind = found if isinstance(found, type) else type(found)
    return kind.__module__.partition(".")[0] == "pathlib"
