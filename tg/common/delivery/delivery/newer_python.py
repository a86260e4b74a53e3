"""Features of newer Pythons in a module: syntax, and names of the standard library, each with the version that brought it.

Syntax is known in full, by what the parser makes of it. Of names there is a table of those that are new in 3.11 and later and
are in use; one that stands where an older Python does not come by (`if sys.version_info`, `try … except ImportError`) does not
count. Sources: "What's New In Python" 3.11 to 3.14.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from .imports import catches_import_error, is_for_some_pythons

__all__ = ["is_syntax", "newer_features", "release"]

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


def newer_features(tree: ast.Module, source: bytes) -> Iterator[tuple[int, str, str]]:
    """Lines, what stands there, and the Python that it needs, where that is newer than 3.10."""
    yield from sorted(set(_Search(source).of(tree)))


def is_syntax(what: str) -> bool:
    """Whether such a feature keeps a whole module from being parsed; a name is missed by who comes by."""
    return what not in _SINCE


def release(version: str) -> tuple[int, ...]:
    """`3.10` as numbers, which compare."""
    return tuple(map(int, version.split(".")))


class _Search:
    def __init__(self, source: bytes) -> None:
        self._lines = source.splitlines()
        self._modules: dict[str, str] = {}
        """What local names stand for that are modules."""

    def of(self, node: ast.AST) -> Iterator[tuple[int, str, str]]:
        """Features of a node and of all below it."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and is_for_some_pythons(child.test):
                yield from self._syntax_alone(child)
                continue
            if isinstance(child, ast.Try) and any(map(catches_import_error, child.handlers)):
                yield from self._syntax_alone(child)
                continue
            yield from _syntax(child, self._lines)
            yield from self._names(child)
            yield from self.of(child)

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
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _SINCE:
            yield from _since(node.lineno, node.id)


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
    opened = lines[node.lineno - 1][node.col_offset :].lstrip(b"fFrRbB")
    quote = opened[:3] if opened[:3] in (b'"""', b"'''") else opened[:1]
    for part in node.values:
        if isinstance(part, ast.FormattedValue) and part.value.end_lineno is not None:
            inside = _text(part.value, lines)
            if quote in inside or b"\\" in inside or (len(quote) == 1 and b"\n" in inside) or b"#" in inside:
                return True
    return False


def _text(node: ast.expr, lines: list[bytes]) -> bytes:
    assert node.end_lineno is not None
    if node.lineno == node.end_lineno:
        return lines[node.lineno - 1][node.col_offset : node.end_col_offset]
    middle = lines[node.lineno : node.end_lineno - 1]
    return b"\n".join(
        [lines[node.lineno - 1][node.col_offset :], *middle, lines[node.end_lineno - 1][: node.end_col_offset]]
    )
