"""Changes: what the statements of a script do to objects after they were made, as far as looking and the memory tell.

An object that a payload needs and that a statement which is left out has changed would be another one where the package is
loaded. Two names can stand for one object, or for one that holds the other, so what is done to either may be done to both.
Functions that are only called are not looked into: what they fill begins as it is written, as in any module.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from .repeatable import MUTABLE, PLAIN, what_it_does
from .statements import Statement, root_name

__all__ = ["Changes", "has_collections_as_written", "is_equal", "written_value"]

_STATELESS = (*PLAIN, type, FunctionType, BuiltinFunctionType, ModuleType, PurePath, re.Pattern, logging.Logger)
_ONLY_LOOK = frozenset(
    "all any dict dir display enumerate help id isinstance len list max min print repr set sorted str sum tuple type vars".split()
)


class Changes:
    """What statements do to the objects of a namespace."""

    def __init__(self, statements: Sequence[Statement], namespace: Mapping[str, Any]) -> None:
        self._statements = statements
        self._namespace = namespace
        self._names: dict[str, frozenset[str]] = {}

    def of(self, statement: Statement) -> frozenset[str]:
        """The names whose objects a statement changes, as far as it is one that defines something."""
        changes = statement.changes
        node = statement.node
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Attribute)
        ):
            receiver = node.value.func.value
            if isinstance(receiver, ast.Name):
                changes |= {receiver.id}
        if isinstance(node, ast.ClassDef):
            changes |= self._told_of_class(node)
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(called, ast.Name):
                    changes |= self._collections_of(called.id)
        return changes

    def may_be_to(self, name: str, statement: Statement) -> bool:
        """Whether a statement that is left out may have changed the object of a name."""
        if isinstance(self._namespace[name], _STATELESS) or statement.is_definition or statement.is_import:
            return False
        names = self._names_of_object(name)
        if names & statement.changes:
            return True
        if not names & statement.names.reads:
            return False
        node = statement.node
        if what_it_does(node, self._namespace) is None and not isinstance(node, ast.Expr):
            return False
        calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
        return any(not (isinstance(one.func, ast.Name) and one.func.id in _ONLY_LOOK) for one in calls)

    def _names_of_object(self, name: str) -> frozenset[str]:
        """The names that may stand for an object, or for one that holds it."""
        if name not in self._names:
            names = {name}
            for statement in self._statements:
                if not (statement.is_definition or statement.is_import) and statement.names.reads & names:
                    names |= {one for one in statement.names.binds if self._can_hold(one, name)}
            self._names[name] = frozenset(names)
        return self._names[name]

    def _can_hold(self, name: str, held: str) -> bool:
        value = self._namespace.get(name)
        if value is self._namespace[held]:
            return True
        if type(value).__module__.startswith(f"{__package__}."):
            return False  # it delivers the object, and changes nothing of it
        if value is not None and type(value) in MUTABLE:
            return any(not isinstance(one, PLAIN) for one in (value.values() if isinstance(value, dict) else value))
        return not isinstance(value, _STATELESS)

    def _told_of_class(self, node: ast.ClassDef) -> frozenset[str]:
        """What does something with each new class: classes of what was run that it is made from, with their collections."""
        told: set[str] = set()
        for base in (*node.bases, *(keyword.value for keyword in node.keywords if keyword.arg == "metaclass")):
            value = self._namespace.get(root_name(base))
            if not isinstance(value, type):
                continue
            ours = [kind for kind in value.__mro__ if kind.__module__ == "__main__"]
            telling = [kind for kind in ours if "__init_subclass__" in vars(kind) or issubclass(kind, type)]
            metaclass: type = type(value)
            telling += [kind for kind in metaclass.__mro__ if kind.__module__ == "__main__"]
            if telling:
                told.update(kind.__name__ for kind in ours)
                told.update(*(self._collections_of(kind.__name__) for kind in telling))
        return frozenset(told)

    def _collections_of(self, name: str) -> frozenset[str]:
        """The collections that a function or class of what was run refers to, and may put into what it is given."""
        value = self._namespace.get(name)
        if not isinstance(value, (FunctionType, type)) or value.__module__ != "__main__":
            return frozenset()
        found: set[str] = set()
        for statement in self._statements:
            if name in statement.names.binds and statement.is_definition:
                found |= {one for one in statement.names.later if isinstance(self._namespace.get(one), MUTABLE)}
        return frozenset(found)


def written_value(node: ast.stmt) -> tuple[Any, bool]:
    """The value of an assignment to plain names that is a literal, and whether there is one."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if all(isinstance(one, ast.Name) for one in targets):
            try:
                return ast.literal_eval(node.value), True
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                pass
    return None, False


def has_collections_as_written(definition: Any, node: ast.stmt) -> bool:
    """Whether the lists, dictionaries and sets that a class statement has literally are the same in the class in memory."""
    for inner in node.body if isinstance(node, ast.ClassDef) else ():
        written, known = written_value(inner)
        if known and isinstance(written, MUTABLE):
            names = [one.id for one in ast.walk(inner) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
            if not all(is_equal(getattr(definition, one, written), written) for one in names):
                return False
    return True


def is_equal(value: Any, written: Any) -> bool:
    """Whether an object in memory is what a literal says."""
    try:
        return type(value) is type(written) and bool(value == written)
    except Exception:  # noqa: BLE001  the objects' own code may raise anything
        return False
