"""Features of newer Pythons in a module: syntax, and names of the standard library, each with the version that brought it.

Syntax is known in full, by what the parser makes of it. Of names there is a table of those that are new in 3.11 and later and
are in use; one that stands where an older Python does not come by (`if sys.version_info`, `if hasattr`, `if TYPE_CHECKING`,
`try … except ImportError` or `AttributeError`) does not count. Sources: "What's New In Python" 3.11 to 3.14.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator

from .imports import catches_import_error, is_for_some_pythons, name_of, skipped_at_run_time

__all__ = ["is_syntax", "newer_features"]

_NAMES = {
    "3.11": "tomllib wsgiref.types asyncio.Runner asyncio.TaskGroup asyncio.timeout asyncio.timeout_at asyncio.Barrier "
    "contextlib.chdir datetime.UTC enum.StrEnum enum.verify enum.member enum.nonmember enum.ReprEnum enum.EnumCheck "
    "hashlib.file_digest inspect.getmembers_static math.cbrt math.exp2 operator.call sys.exception typing.Self typing.Never "
    "typing.LiteralString typing.Required typing.NotRequired typing.Unpack typing.TypeVarTuple typing.assert_never "
    "typing.assert_type typing.reveal_type typing.dataclass_transform typing.get_overloads typing.clear_overloads "
    "re.NOFLAG importlib.resources.abc "
    "logging.getLevelNamesMapping BaseExceptionGroup ExceptionGroup",
    "3.12": "itertools.batched typing.override threading.setprofile_all_threads random.binomialvariate typing.TypeAliasType collections.abc.Buffer calendar.Month calendar.Day "
    "sys.monitoring types.get_original_bases inspect.markcoroutinefunction math.sumprod "
    "asyncio.eager_task_factory",
    "3.13": "copy.replace warnings.deprecated typing.TypeIs typing.ReadOnly typing.NoDefault typing.is_protocol "
    "typing.get_protocol_members queue.ShutDown os.process_cpu_count dbm.sqlite3 "
    "PythonFinalizationError",
    "3.14": "annotationlib compression compression.zstd concurrent.interpreters string.templatelib heapq.heappush_max "
    "functools.Placeholder concurrent.futures.InterpreterPoolExecutor",
}
_SINCE = {name: version for version, names in _NAMES.items() for name in names.split()}
_MODULES = frozenset(name.rpartition(".")[0] for name in _SINCE)
_BUILTINS = frozenset(name for name in _SINCE if name[0].isupper())
_CLOSES_OR_ESCAPES = re.compile(rb"['\"\\#\n]")


def newer_features(tree: ast.Module, source: bytes) -> Iterator[tuple[int, str, str]]:
    """Lines, what stands there, and the Python that it needs, where that is newer than 3.10."""
    yield from sorted(set(_Search(source).of_module(tree)))


def is_syntax(what: str) -> bool:
    """Whether such a feature keeps a whole module from being parsed; a name is missed by who comes by."""
    return what not in _SINCE


class _Search:
    def __init__(self, source: bytes) -> None:
        self._source = source
        self._lines = source.splitlines()
        self._modules: dict[str, str] = {}
        """What local names stand for that are modules."""
        self._own_names: frozenset[str] = frozenset()
        """Names that the module itself binds, and that are no builtins in it."""

    def of_module(self, tree: ast.Module) -> Iterator[tuple[int, str, str]]:
        """Features of a whole module."""
        if any(name.encode() in self._source for name in _BUILTINS):
            self._own_names = frozenset(_bound_in(tree))
        yield from self._of(tree)

    def _of(self, node: ast.AST) -> Iterator[tuple[int, str, str]]:
        for child in ast.iter_child_nodes(node):
            if (isinstance(child, ast.If) and _asks_what_is_there(child.test)) or (
                isinstance(child, ast.Try) and any(map(_goes_on_without, child.handlers))
            ):
                yield from self._syntax_alone(child)
            elif isinstance(child, ast.If) and (skipped := skipped_at_run_time(child)) is not None:
                yield from self._syntax_alone(child)
                yield from self._of(ast.Module(child.orelse if skipped is child.body else child.body, []))
            else:
                yield from _syntax(child, self._lines)
                yield from self._names(child)
                yield from self._of(child)

    def _syntax_alone(self, node: ast.AST) -> Iterator[tuple[int, str, str]]:
        """A module is parsed as a whole, whatever is executed of it."""
        for child in ast.walk(node):
            yield from _syntax(child, self._lines)

    def _names(self, node: ast.AST) -> Iterator[tuple[int, str, str]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._modules[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                yield from _since(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                yield from _since(node.lineno, f"{node.module}.{alias.name}")
                if f"{node.module}.{alias.name}" in _MODULES:
                    self._modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            yield from _since(node.lineno, node.module)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = self._modules.get(node.value.id)
            if module is not None:
                yield from _since(node.lineno, f"{module}.{node.attr}")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _BUILTINS - self._own_names:
            yield from _since(node.lineno, node.id)


def _asks_what_is_there(condition: ast.expr) -> bool:
    return is_for_some_pythons(condition) or any(
        isinstance(node, ast.Call) and name_of(node.func) == "hasattr" for node in ast.walk(condition)
    )


def _goes_on_without(handler: ast.ExceptHandler) -> bool:
    return catches_import_error(handler) or (
        handler.type is not None
        and any(
            name_of(one) in ("AttributeError", "NameError")
            for one in ast.walk(handler.type)
            if isinstance(one, ast.expr)
        )
    )


def _bound_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name


def _since(line: int, name: str) -> Iterator[tuple[int, str, str]]:
    if name in _SINCE:
        yield line, name, _SINCE[name]


def _syntax(node: ast.AST, lines: list[bytes]) -> Iterator[tuple[int, str, str]]:
    kind = type(node).__name__
    line = getattr(node, "lineno", 1)
    if kind == "TryStar":
        yield line, "except*", "3.11"
    elif kind == "TypeAlias":
        yield line, "a type statement", "3.12"
    elif kind in ("TypeVar", "ParamSpec", "TypeVarTuple"):
        yield line, "type parameters", "3.12"
        if getattr(node, "default_value", None) is not None:
            yield line, "a default of a type parameter", "3.13"
    elif kind in ("TemplateStr", "Interpolation"):
        yield line, "a template string", "3.14"
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        if any(isinstance(one, ast.Starred) for one in node.slice.elts) and not _has_parentheses(node.slice, lines):
            yield line, "a starred expression in an index", "3.11"
    elif isinstance(node, ast.arguments) and node.vararg and isinstance(node.vararg.annotation, ast.Starred):
        yield node.vararg.lineno, "a starred annotation", "3.11"
    elif isinstance(node, ast.JoinedStr) and _is_newer_f_string(node, lines):
        yield line, "an f-string with quotes, line ends or backslashes inside of its braces", "3.12"


def _has_parentheses(node: ast.expr, lines: list[bytes]) -> bool:
    return lines[node.lineno - 1][node.col_offset : node.col_offset + 1] == b"("


def _is_newer_f_string(node: ast.JoinedStr, lines: list[bytes]) -> bool:
    """Whether only Python 3.12 and later take it (PEP 701); an older one would have told so by not parsing it."""
    if sys.version_info < (3, 12):  # it does not know where the parts are, either
        return False
    fields = [part for part in node.values if isinstance(part, ast.FormattedValue)]
    texts = [_text(part, lines) for part in fields]
    if not any(map(_CLOSES_OR_ESCAPES.search, texts)):
        return False
    for part, text, quote in zip(fields, texts, _quotes_of_fields(_text(node, lines)), strict=False):
        inside = _text(part.value, lines)
        if quote in text or b"\\" in inside or (len(quote) == 1 and b"\n" in text) or b"#" in inside:
            return True
    return False


def _quotes_of_fields(text: bytes) -> list[bytes]:
    """The quotes of the string that each field stands in, of those that stand side by side; none for what is no string."""
    quotes, opened, depth = [], [], 0
    try:
        for one in tokenize.generate_tokens(io.StringIO(f"({text.decode()})").readline):
            kind = tokenize.tok_name[one.type]
            if kind == "FSTRING_START":
                opened.append(one.string.lstrip("fFrR").encode())
            elif kind == "FSTRING_END":
                opened.pop()
            elif len(opened) == 1 and one.string == "{":
                quotes += [opened[0]] if depth == 0 else []
                depth += 1
            elif len(opened) == 1 and one.string == "}":
                depth -= 1
    except (tokenize.TokenError, SyntaxError):  # what says how a field is to be shown is a node of the same kind
        return []
    return quotes


def _text(node: ast.expr, lines: list[bytes]) -> bytes:
    assert node.end_lineno is not None
    if node.lineno == node.end_lineno:
        return lines[node.lineno - 1][node.col_offset : node.end_col_offset]
    middle = lines[node.lineno : node.end_lineno - 1]
    return b"\n".join(
        [lines[node.lineno - 1][node.col_offset :], *middle, lines[node.end_lineno - 1][: node.end_col_offset]]
    )
