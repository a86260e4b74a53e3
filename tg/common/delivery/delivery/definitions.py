"""The definitions that a payload needs of what was run: chosen among its statements, and nothing is run for it.

A statement is needed when it binds a name that the payload, or a needed statement, refers to. What travels is imports,
classes, functions, and assignments that can be made again (`repeatable.py`); a needed name that is bound in any other way is
a problem. Of several statements that bind a name, the last that makes it anew counts, with those after it that may change
it; where a statement itself reads the name, the last before it. That a definition is the one in memory shows in its place.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import resolve_name
from typing import Any

from .changes import Changes, has_collections_as_written, is_equal, written_value
from .main_source import MainSource, defining_code, is_made_by_ipython
from .repeatable import PLAIN, only_says, what_is_done, what_it_does
from .statements import Compound, Statement, blocks_of, first_line, is_main_guard, names_in, statements_of

__all__ = ["Definitions"]

_ADVICE = (
    "Give it to the object as an attribute, or in the payload; make it in the function that uses it; or import it from a "
    "module of yours."
)
_PAYLOAD = "the payload"


@dataclass(frozen=True)
class _Need:
    """A name that is needed as it is before the statement of that number; `user` is who says so, for messages."""

    name: str
    before: int
    user: str
    required: bool = True
    """Whether it is a problem when it cannot be had: what annotations name can often be missing."""


@dataclass(frozen=True)
class Definitions:
    """The needed statements of a source, in their order, and what of them cannot be had, each with place and remedy."""

    statements: tuple[Statement, ...]
    problems: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """What they do that is not what it was."""
        return [
            f"{statement.part.place(statement.line_of('__file__'))} uses __file__. Where the package is loaded that is its own main.py, and "
            f"nothing lies beside it that lay beside the script: put what is read from there into the payload."
            for statement in self.statements
            if "__file__" in statement.names.reads | statement.names.later
        ]

    @classmethod
    def needed(cls, source: MainSource, names: Iterable[str]) -> Definitions:
        """Those that a payload needs which refers to classes, functions and objects of these names."""
        choice = _Choice(source)
        choice.choose(names)
        return cls(choice.chosen(), tuple(choice.all_problems()))


class _Choice:
    """The choosing: what is kept so far, and what was already asked for."""

    def __init__(self, source: MainSource) -> None:
        self._source = source
        self._namespace = source.namespace
        self._statements: list[Statement] = []
        self._problems: dict[str, None] = {}
        self._asked: set[tuple[str, int, bool]] = set()
        self._waiting: list[_Need] = []
        self._unbound: list[_Need] = []
        self._made: list[tuple[_Need, list[int], list[int]]] = []
        self.kept: set[int] = set()
        for part in source.parts:
            before = self._statements[-1].features if self._statements and part.cell else ()
            try:
                statements = statements_of(part, before)
                for statement in statements:
                    _ = statement.names  # what does not compile was not run
                self._statements += statements
            except (SyntaxError, ValueError) as error:
                if not part.cell:  # a cell that does not parse was not run
                    line, message = (error.lineno or 1, error.msg) if isinstance(error, SyntaxError) else (1, error)
                    self._problems[f"{part.place(line)} does not parse ({message}). Correct it."] = None
        self.end = len(self._statements)
        self._changes = Changes(self._statements, self._namespace)
        self._of_name: dict[str, list[int]] = {}
        for number, statement in enumerate(self._statements):
            for name in statement.names.binds | self._changes.of(statement):
                self._of_name.setdefault(name, []).append(number)
        self._stars = [number for number, statement in enumerate(self._statements) if statement.star]

    def choose(self, names: Iterable[str]) -> None:
        """Keep what binds these names, and all that it needs."""
        self._waiting += [_Need(name, self.end, _PAYLOAD) for name in sorted(set(names), reverse=True)]
        while self._waiting:
            self._find(self._waiting.pop())
        for need, bound, changed in self._made:
            self._check_state(need, bound, changed)

    def chosen(self) -> tuple[Statement, ...]:
        return tuple(self._statements[number] for number in sorted(self.kept))

    def all_problems(self) -> Iterator[str]:
        yield from self._problems
        set_by_kept = {name for number in self.kept for name in self._statements[number].names.sets}
        for need in self._unbound:
            if need.name not in set_by_kept:
                yield self._unbound_problem(need)

    def _find(self, need: _Need) -> None:
        """Keep what binds a name."""
        key = (need.name, need.before, need.required)
        if key in self._asked or (*key[:2], True) in self._asked:
            return
        self._asked.add(key)
        bound: list[int] = []
        changed: list[int] = []
        others: list[int] = []
        is_complete = False
        for number in self._before(need.name, need.before):
            statement = self._statements[number]
            if is_complete:
                if statement.imports_part_of(need.name) and self._obstacle(statement) is None:
                    bound.append(number)
            elif need.name in statement.names.binds or self._is_imported_by_star(need.name, statement):
                if self._is_another(need.name, statement):
                    others.append(number)
                    continue
                if (obstacle := self._obstacle(statement)) is not None:
                    if need.name not in self._namespace or not need.required:
                        continue  # it came to nothing here as well
                    self._refuse(need, statement, f"is made {obstacle}")
                    return
                bound.append(number)
                if need.name in statement.replaces or statement.star:
                    if not isinstance(statement.node, ast.Import):
                        break
                    is_complete = True
            elif not statement.star:
                changed.append(number)
        if not bound:
            self._nothing_binds(need, others)
            return
        bound += [number for number in others if self._is_alternative(number, bound)]
        for number in sorted(bound):
            self._keep(number)
        own = [number for number in bound if not self._statements[number].is_import]
        if own:
            self._keep_changes(need, [number for number in changed if number > min(own)], bound)

    def _is_alternative(self, number: int, bound: list[int]) -> bool:
        """Whether a definition stands in another branch of what decides that one of these is made: elsewhere it may be the one."""
        within = self._statements[number].within
        beside = any(one in within for other in bound for one in self._statements[other].within)
        return beside and self._obstacle(self._statements[number]) is None

    def _before(self, name: str, end: int) -> list[int]:
        """The statements that bind or change a name before that of a number, or may do so, the last first."""
        numbers = {*self._of_name.get(name, ()), *self._stars}
        return sorted((number for number in numbers if number < end), reverse=True)

    def _keep(self, number: int) -> None:
        if number in self.kept:
            return
        self.kept.add(number)
        statement = self._statements[number]
        for name in sorted(statement.names.reads):
            self._waiting.append(_Need(name, number, self._user(statement, name)))
            self._need_of_calls(name, number)
        for name in sorted(statement.names.later):
            self._waiting.append(_Need(name, self.end, self._user(statement, name)))
        for name in sorted(statement.annotations):
            self._waiting.append(_Need(name, self.end, self._user(statement, name), required=False))
        for compound in statement.within:
            for name in sorted(_names_of_head(compound, statement)):
                self._waiting.append(_Need(name, number, self._user(statement, name)))
            for inner in self._always_with(compound):
                self._keep(inner)

    def _need_of_calls(self, name: str, before: int) -> None:
        """What functions and classes read that a kept statement may call: it has to be there by then."""
        waiting, seen = [name], {name}
        while waiting:
            name = waiting.pop()
            for number in self._before(name, before):
                statement = self._statements[number]
                if name in statement.names.binds and statement.is_definition:
                    for read in sorted(statement.names.later):
                        self._waiting.append(_Need(read, before, self._user(statement, read), required=False))
                    waiting += statement.names.later - seen
                    seen |= statement.names.later
                    break

    def _always_with(self, compound: Compound) -> list[int]:
        """What of a compound statement has to stay with any part of it: it decides where the code goes on."""
        if not isinstance(compound, ast.Try):
            return []
        inside = {id(node) for node in _leaves(compound.body)}
        raised = {id(node) for node in _leaves([compound]) if isinstance(node, ast.Raise)}
        return [
            number
            for number, statement in enumerate(self._statements)
            if compound in statement.within
            and (id(statement.node) in raised or (id(statement.node) in inside and not only_says(statement.node)))
        ]

    def _obstacle(self, statement: Statement) -> str | None:
        """What keeps a statement from being one that travels, as what stands after "is made"; `None` when it does."""
        for compound in statement.within:
            if is_main_guard(compound) and id(statement.node) not in {id(one) for one in _leaves(_orelse(compound))}:
                return 'under if __name__ == "__main__", which is not so'
            if isinstance(compound, ast.If) and (done := what_is_done(compound.test, self._namespace)) is not None:
                return f"under a condition that takes {done}, which is not asked again"
            if isinstance(compound, ast.Try):
                for node in _leaves(compound.body):
                    if not only_says(node) and (done := what_it_does(node, self._namespace)) is not None:
                        return f"in a try with {done}, which is not run again"
        done = what_it_does(statement.node, self._namespace)
        if done is None:
            return None
        if isinstance(statement.node, (ast.For, ast.AsyncFor, ast.While)):
            return "in a loop, which is not run again"
        return f"by {done}, which is not run again"

    def _keep_changes(self, need: _Need, changed: list[int], bound: list[int]) -> None:
        """Keep what changes the object after it was made, as far as that can be done again."""
        for number in sorted(changed):
            statement = self._statements[number]
            if self._obstacle(statement) is None:
                self._keep(number)
        if need.before == self.end and need.name in self._namespace and need.required:
            self._made.append((need, bound, changed))

    def _check_state(self, need: _Need, bound: list[int], changed: list[int]) -> None:
        """What is not done again must not have changed an object after it was made."""
        made = self._statements[bound[0]]
        if made.is_definition:
            self._check_attributes(need, made, changed)
            return
        value = self._namespace[need.name]
        written, known = written_value(made.node) if len(bound) == 1 else (None, False)
        if known and is_equal(value, written):
            return
        if known and isinstance(written, PLAIN) and not self._is_set_somewhere(need.name) and not changed:
            self._problems[
                f"{need.user} uses {need.name}, which is {_short(written)} at {made.place} and "
                f"{_short(value)} in memory. Run that again, and make the object again."
            ] = None
            return
        for number in range(min(bound) + 1, self.end):
            if number not in self.kept and self._changes.may_be_to(need.name, self._statements[number]):
                self._refuse(need, self._statements[number], "may have changed, and that is not run again")
                return

    def _check_attributes(self, need: _Need, made: Statement, changed: list[int]) -> None:
        """Attributes that a class or function was given later, by something that is not run again."""
        for number in changed:
            statement = self._statements[number]
            if statement.is_definition or number in self.kept:
                continue
            if need.name in statement.changes:
                self._refuse(need, statement, f"changes {self._obstacle(statement)}")
            elif not has_collections_as_written(self._namespace[need.name], made.node):
                self._refuse(need, statement, "has changed, and that is not run again")

    def _is_set_somewhere(self, name: str) -> bool:
        return any(name in statement.names.sets for statement in self._statements)

    def _is_imported_by_star(self, name: str, statement: Statement) -> bool:
        if statement.star is None:
            return False
        try:
            module = sys.modules.get(resolve_name(statement.star, self._source.package or None))
        except ImportError:  # a relative one, of what is run by its file: it came to nothing here as well
            return False
        names = getattr(module, "__all__", None)
        if names is None:
            names = [one for one in vars(module) if not one.startswith("_")] if module is not None else []
        return name in names

    def _is_another(self, name: str, statement: Statement) -> bool:
        """Whether a definition is not the one in memory, as the lines of its functions tell."""
        if name not in self._namespace or not statement.is_definition:
            return False
        written = {one.name: first_line(one) for one in _functions(statement.node)}
        here = [
            statement.part.made(file) and line == written[named]
            for named, file, line in defining_code(self._namespace[name], name)
            if named in written
        ]
        return bool(here) and not all(here)

    def _user(self, statement: Statement, name: str) -> str:
        return statement.part.place(statement.line_of(name))

    def _refuse(self, need: _Need, statement: Statement, reason: str) -> None:
        self._problems[
            f"{need.user} uses {need.name}, which {reason} where the package is loaded ({statement.place}). {_ADVICE}"
        ] = None

    def _nothing_binds(self, need: _Need, others: list[int]) -> None:
        name = need.name
        if not need.required or (name.startswith("__") and name.endswith("__") and name not in self._own_dunders):
            return
        if others:
            self._problems[
                f"{need.user} uses {name}, and the one in memory is not the one at {self._statements[others[0]].place}: it was changed after it was "
                f"run, or was run in part. Run it again, and make the object again."
            ] = None
        elif need.before != self.end:
            self._waiting.append(_Need(name, self.end, need.user))
        elif name in vars(builtins) and not is_made_by_ipython(vars(builtins)[name]):
            return
        elif name in ("In", "Out") or is_made_by_ipython(self._namespace.get(name, vars(builtins).get(name))):
            self._problems[
                f"{need.user} uses {name}, which only notebooks have (as do % and ! in a line). Import it, or do without."
            ] = None
        elif name in self._namespace or need.user == _PAYLOAD:
            self._unbound.append(need)

    @cached_property
    def _own_dunders(self) -> set[str]:
        return {name for statement in self._statements for name in statement.names.binds if name.startswith("__")}

    def _unbound_problem(self, need: _Need) -> str:
        for statement in self._statements:
            if need.name in statement.names.sets:
                return (
                    f"{need.user} uses {need.name}, which is set by a function ({statement.place}) that nothing calls where the "
                    f"package is loaded. {_ADVICE}"
                )
        return (
            f"{need.user} uses {need.name}, which no statement of {self._source.location} defines: it was made by exec, by "
            f"globals(), or by a cell that is not in the history any more. {_ADVICE}"
        )


def _leaves(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        blocks = blocks_of(node)
        if blocks:
            for block in blocks:
                yield from _leaves(block)
        else:
            yield node


def _orelse(compound: ast.stmt) -> list[ast.stmt]:
    return compound.orelse if isinstance(compound, ast.If) else []


def _functions(node: ast.stmt) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    inside = node.body if isinstance(node, ast.ClassDef) else [node]
    return [one for one in inside if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]


def _names_of_head(compound: Compound, statement: Statement) -> frozenset[str]:
    """The names in what a compound statement decides by."""
    if isinstance(compound, ast.If):
        head = [compound.test]
    elif isinstance(compound, ast.Try):
        head = [handler.type for handler in compound.handlers if handler.type is not None]
    else:
        head = [item.context_expr for item in compound.items]
    found: frozenset[str] = frozenset()
    for one in head:
        found |= names_in(ast.copy_location(ast.Expr(one), one), statement.features).reads
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
