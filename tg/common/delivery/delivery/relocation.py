"""Relocation of source: `import tg.x` is made to mean the package's own tree, wherever that tree is.

An absolute import of a root becomes the relative import that means the same: `from tg.x import y` in `tg/a/b.py`
becomes `from ..x import y`. So relocated text is the same for every UID, and works under any name that a tree gets
(see `runtime/module_tree.py`); a delivered package can be delivered again as it is. Another root is one level further up.

| written in `tg/a/b.py`            | relocated                                                |
|-----------------------------------|----------------------------------------------------------|
| `from tg.x import y`              | `from ..x import y`                                      |
| `from tg import x`                | `from .. import x`                                       |
| `import tg.x.y as z`              | `from ..x import y as z`                                 |
| `import tg`                       | `from ... import tg`                                     |
| `import tg.x`                     | `from ..x import __doc__ as tg; from ... import tg`      |
| `from mycompany.x import y`       | `from ...mycompany.x import y`                           |
| `import mycompany`                | `from ... import mycompany`                              |
| `import pickle`, to read some     | `from ..common.delivery.runtime import pickles as pickle` |

Only the statement itself changes: lines keep their numbers, the file its encoding and its line ends. For names in strings
see `module_strings.py`.
"""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .imports import parsed
from .late_names import HOOK, LATE_WORDS, WRITES, names_of_sources
from .module_labels import Bound, roots_imported_in
from .module_strings import METADATA, STRINGS, Module, relocate_strings
from .module_variables import variables_of_modules
from .path_entries import PATH_WORDS
from .plain_imports import plain_edits
from .relative_names import RelativeNames, is_ours
from .source_text import Edit, SourceText, edited

__all__ = ["Relocated", "may_need_relocation", "relocate"]

# What may refer to the tree absolutely. Everything else is spared the parser. Each begins with a text of its own, and
# nothing is looked for before it: so a search is five times as fast, and what is found in a docstring is parsed in vain.
_STATEMENTS = (
    rb"from(?:[ \t\f]|\\\r?\n?)+%(root)s\b",
    rb"import\b[^\r\n;]*(?:\b%(root)s\b|\\(?:[\r\n]|$))",
)
_PICKLES = rb"import\b[^\r\n;]*\bpickle\b", rb"from[ \t]+pickle\b"
_BREAK = re.compile(r"\\(\r\n|\r|\n)")
_BLANK = r"(?:[ \t\f]|\\(?:\r\n|\r|\n))"
_FROM = re.compile(rf"from{_BLANK}+(?P<module>\w+(?:{_BLANK}*\.{_BLANK}*\w+)*)")


@dataclass(frozen=True)
class Relocated:
    """Relocated source, what could not be, as `(line number, what stands there)`, and the edits that were made."""

    source: bytes
    unresolved: tuple[tuple[int, str], ...]
    edits: tuple[Edit, ...] = ()


def may_need_relocation(source: bytes, roots: Sequence[str], path: str = "", distributions: Sequence[str] = ()) -> bool:
    """Whether it is worth parsing `source` to look for absolute references to `roots`: what it says no to has none."""
    if is_ours(path):
        return False
    source = source.removeprefix(codecs.BOM_UTF8)
    if _reads_pickles(source) or (distributions and re.search(METADATA, source)):
        return True
    if not any(word in source for word in (*(root.encode() for root in roots), *LATE_WORDS, *PATH_WORDS)):
        return False  # most files, and far sooner told than by a pattern
    return _matches(_STATEMENTS, source, roots) or _matches(STRINGS, source, roots)


def relocate(source: bytes, roots: Sequence[str], path: str, distributions: Sequence[str] = ()) -> Relocated:
    """Make the absolute references to `roots` in one module relative.

    `path` is that of the module inside a package: `tg/a/b.py`, or `tool.py` for a root that is a single module;
    `distributions` are the normalised names of those that roots are from. Raises `SyntaxError` as the compiler does.
    """
    names = RelativeNames(tuple(roots), path, tuple(distributions))
    # Strings stand anywhere in expressions, which are most of a tree; imports only where statements do.
    pickles = not is_ours(path) and _reads_pickles(source)
    strings = bool(_matches(STRINGS, source, roots) or (distributions and re.search(METADATA, source)))
    writes = WRITES.search(source) is not None
    if not pickles and not strings:
        edits = plain_edits(source, names, _places(_STATEMENTS, source, roots), in_strings=writes)
        if edits is not None:
            return Relocated(edited(source, edits), (), tuple(edits))
    strings = strings or writes
    tree = parsed(source)
    text = SourceText(source, tokenize.detect_encoding(io.BytesIO(source).readline)[0])
    unresolved = []
    late = not is_ours(path)
    module = Module(
        sources=names_of_sources(tree, names) if writes else frozenset(),
        bound=Bound(
            imported=roots_imported_in(tree) if b".__name__" in source else frozenset(),
            variables=variables_of_modules(tree) if b"f_globals" in source or b"__module__" in source else frozenset(),
        ),
        has_hook=re.search(HOOK, source) is not None,
    )
    formatted: set[int] = set()  # what is inside of an f-string, where quotes would end it
    for node in ast.walk(tree) if strings else _statements(tree):
        if isinstance(node, ast.JoinedStr):
            formatted.update(map(id, ast.walk(node)))
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if names.has(node.module) or (pickles and node.module == "pickle"):
                _relocate_from(node, text, names)
        elif isinstance(node, ast.Import):
            if any(names.has(alias.name) or (pickles and alias.name == "pickle") for alias in node.names):
                _relocate_import(node, text, names, pickles)
        elif (
            strings
            and (found := relocate_strings(node, text, names, late=late and id(node) not in formatted, module=module))
            is not None
        ):
            unresolved.append(found)
    edits = text.edits()
    return Relocated(edited(source, edits), tuple(sorted(unresolved)), tuple(edits))


def _reads_pickles(source: bytes) -> bool:
    return (
        b"pickle" in source
        and (b"load" in source or b"Unpickler" in source)
        and any(re.search(pattern, source) for pattern in _PICKLES)
    )


def _matches(patterns: Sequence[bytes], source: bytes, roots: Sequence[str]) -> bool:
    return any(pattern.search(source) for pattern in _compiled(tuple(patterns), tuple(roots)))


def _places(patterns: Sequence[bytes], source: bytes, roots: Sequence[str]) -> Iterator[int]:
    compiled = _compiled(tuple(patterns), tuple(roots))
    return (found.start() for pattern in compiled for found in pattern.finditer(source))


@lru_cache(maxsize=8)
def _compiled(patterns: tuple[bytes, ...], roots: tuple[str, ...]) -> list[re.Pattern[bytes]]:
    names = b"(?:%b)" % b"|".join(re.escape(root.encode()) for root in roots)
    return [re.compile(pattern % {b"root": names}) for pattern in patterns]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, block, ()):
            yield child
            yield from _statements(child)


def _relocate_from(node: ast.ImportFrom, text: SourceText, names: RelativeNames) -> None:
    """`from tg.x import …`: the dotted name is all that changes."""
    start, end = text.span(node)
    match = _FROM.match(text.text, start, end)
    assert match is not None and node.module is not None
    module = names.relative(node.module) if names.has(node.module) else names.pickles()
    text.replace(*match.span("module"), module + _breaks(match["module"]))


def _relocate_import(node: ast.Import, text: SourceText, names: RelativeNames, pickles: bool) -> None:
    """`import tg.x, os`, on one line, as it was; or on as many."""
    start, end = text.span(node)
    statement = names.import_statement([(alias.name, alias.asname) for alias in node.names], pickles=pickles)
    keyword, _, rest = statement.partition(" ")
    text.replace(start, end, f"{keyword} {_breaks(text.text[start:end])}{rest}")


def _breaks(text: str) -> str:
    """The continued line ends of a text, and nothing between them."""
    return "".join(f"\\{line_break}" for line_break in _BREAK.findall(text))
