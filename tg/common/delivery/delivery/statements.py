"""The statements at the top level of what was run, each with the names that it binds, changes and reads.

A statement in an `if`, a `try` or a `with suppress(…)` at the top level is one as well, and knows what it stands in. Which
names a statement reads is asked of the compiler, whose rules of scopes are the ones that hold; nothing is run.
"""

from __future__ import annotations
import __future__

import ast
import dis
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import CodeType

from .imports import name_of, parsed, parsed_expression
from .main_source import Part

__all__ = [
    "Compound",
    "Names",
    "Statement",
    "blocks_of",
    "first_line",
    "is_main_guard",
    "names_in",
    "root_name",
    "statements_of",
    "tree_of",
]

Compound = ast.If | ast.Try | ast.With
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as cells are compiled
_READS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})
_OPTIMIZED = 0x1  # of code flags: a function's, not a class body's


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement, the part of the source that it is in, and the compound statements that it stands in."""

    part: Part
    node: ast.stmt
    within: tuple[Compound, ...]
    features: tuple[str, ...]
    """What was imported from `__future__` before it."""

    @property
    def place(self) -> str:
        """Where it begins, as messages name it."""
        return self.part.place(first_line(self.node))

    @property
    def is_definition(self) -> bool:
        """Whether it defines a class or a function."""
        return isinstance(self.node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))

    @property
    def is_import(self) -> bool:
        """Whether it is an import."""
        return isinstance(self.node, (ast.Import, ast.ImportFrom))

    @property
    def star(self) -> str | None:
        """The module that all names are imported from, with the dots before it."""
        if isinstance(self.node, ast.ImportFrom) and self.node.names[0].name == "*":
            return "." * self.node.level + (self.node.module or "")
        return None

    @cached_property
    def names(self) -> Names:
        """What it binds and reads."""
        return names_in(self.node, self.features)

    @cached_property
    def replaces(self) -> frozenset[str]:
        """The names that are something else afterwards, whatever they were before."""
        if self.within:
            return frozenset()
        if isinstance(self.node, ast.Import):
            return frozenset(one.asname or one.name for one in self.node.names if one.asname or "." not in one.name)
        return frozenset(self.names.binds)

    def imports_part_of(self, name: str) -> bool:
        """Whether it is `import name.part`, without which the package of that name would lack the part."""
        return isinstance(self.node, ast.Import) and any(
            one.name.startswith(f"{name}.") and not one.asname for one in self.node.names
        )

    @cached_property
    def changes(self) -> frozenset[str]:
        """The names whose objects it changes, as `CONFIG["a"] = 1` does, and `@show.register` before a function."""
        changed = {root_name(one) for one in _changed_places(self.node)}
        if isinstance(self.node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            for decorator in self.node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                changed |= {root_name(called)} if isinstance(called, ast.Attribute) else set()
        return frozenset(changed - {""})

    @cached_property
    def annotations(self) -> frozenset[str]:
        """Names in the annotations of a class or function, also in those that are texts."""
        return frozenset(_annotation_names(self.node))

    def line_of(self, name: str) -> int:
        """The first line in it that has a name."""
        lines = (one.lineno for one in ast.walk(self.node) if isinstance(one, ast.Name) and one.id == name)
        return min(lines, default=self.node.lineno)


@dataclass(frozen=True)
class Names:
    """Names at the top level: bound by code, read when it is run, read only when functions in it are called, and set by those."""

    binds: frozenset[str]
    reads: frozenset[str]
    later: frozenset[str]
    sets: frozenset[str]


def statements_of(part: Part, features: Sequence[str] = ()) -> list[Statement]:
    """All statements of a part, in their order; `features` of `__future__` hold from before. Raises `SyntaxError` as the compiler does."""
    tree = tree_of(part)
    own = tuple(
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__" and not node.level
        for alias in node.names
    )
    return list(_within(part, tree.body, (), tuple(dict.fromkeys((*features, *own)))))


def tree_of(part: Part) -> ast.Module:
    """A part as the parser reads it. Raises `SyntaxError` as the compiler does."""
    return parsed(part.text, flags=_FLAGS)


def blocks_of(compound: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of a compound statement that are looked into; of any other there are none."""
    if isinstance(compound, ast.If):
        if any(isinstance(one, ast.NamedExpr) for one in ast.walk(compound.test)):
            return []
        return [block for block in (compound.body, compound.orelse) if block]
    if isinstance(compound, ast.Try):
        handlers = [handler.body for handler in compound.handlers]
        return [block for block in (compound.body, *handlers, compound.orelse, compound.finalbody) if block]
    if isinstance(compound, ast.With) and all(_only_catches(item) for item in compound.items):
        return [compound.body]
    return []


def names_in(node: ast.stmt, features: Sequence[str]) -> Names:
    """The names in a statement, by what the compiler makes of it."""
    flags = _FLAGS
    for feature in features:
        flags |= getattr(__future__, feature).compiler_flag
    code = compile(ast.Module([node], []), "<names>", "exec", flags=flags, dont_inherit=True, optimize=0)
    found = _Found()
    found.look_at(code, at_once=True, top=True)
    return Names(*map(frozenset, (found.binds, found.reads, found.later, found.sets)))


def first_line(node: ast.stmt) -> int:
    """The line of a statement, or of its first decorator."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def is_main_guard(node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__"`."""
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare):
        return False
    sides = [node.test.left, *node.test.comparators]
    said = {one.value for one in sides if isinstance(one, ast.Constant)}
    return "__name__" in map(name_of, sides) and "__main__" in said and isinstance(node.test.ops[0], ast.Eq)


class _Found:
    """Names that are met in code and in the code within it."""

    def __init__(self) -> None:
        self.binds: set[str] = set()
        self.reads: set[str] = set()
        self.later: set[str] = set()
        self.sets: set[str] = set()

    def look_at(self, code: CodeType, *, at_once: bool, top: bool = False) -> None:
        """`at_once`: the code is run where it stands, as that of a class body is and that of a function is not."""
        own: set[str] = set()  # of a class body: what it has bound so far
        for instruction in dis.get_instructions(code):
            name, operation = str(instruction.argval), instruction.opname
            if operation in _READS:
                if name not in own:
                    (self.reads if at_once else self.later).add(name)
            elif operation == "STORE_NAME" and not top:
                own.add(name)
            elif operation == "STORE_NAME" or (operation == "STORE_GLOBAL" and at_once):
                self.binds.add(name)
                if top:
                    own.add(name)
            elif operation == "STORE_GLOBAL":
                self.sets.add(name)
            elif isinstance(instruction.argval, CodeType):
                inner = instruction.argval
                runs = not inner.co_flags & _OPTIMIZED or (inner.co_name[0] == "<" and inner.co_name != "<lambda>")
                self.look_at(inner, at_once=at_once and runs)


def _within(
    part: Part, body: Sequence[ast.stmt], within: tuple[Compound, ...], features: tuple[str, ...]
) -> Iterator[Statement]:
    for node in body:
        blocks = blocks_of(node)
        if isinstance(node, (ast.If, ast.Try, ast.With)) and blocks:
            for block in blocks:
                yield from _within(part, block, (*within, node), features)
        else:
            yield Statement(part, node, within, features)


def _only_catches(item: ast.withitem) -> bool:
    call = item.context_expr
    return isinstance(call, ast.Call) and name_of(call.func) in ("suppress", "catch_warnings")


def _changed_places(node: ast.AST) -> Iterator[ast.expr]:
    """`a` of `a.b` and `a[b]` where these are assigned or deleted, and of `setattr(a, …)`; what functions in it do is not meant."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return
    if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
        yield node.value
    elif isinstance(node, ast.Call) and name_of(node.func) in ("setattr", "delattr") and node.args:
        yield node.args[0]
    for child in ast.iter_child_nodes(node):
        yield from _changed_places(child)


def root_name(node: ast.expr) -> str:
    """`a` for `a`, `a.b` and `a[b].c`; nothing for what begins otherwise."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _annotation_names(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        given = (getattr(one, "annotation", None), getattr(one, "returns", None))
        for annotation in given:
            if isinstance(annotation, ast.expr):
                yield from _names_of(annotation)


def _names_of(annotation: ast.expr) -> Iterator[str]:
    for one in ast.walk(annotation):
        if isinstance(one, ast.Name):
            yield one.id
        elif isinstance(one, ast.Constant) and isinstance(one.value, str):
            try:
                yield from _names_of(parsed_expression(one.value))
            except (SyntaxError, ValueError):  # a text that is no type
                continue
