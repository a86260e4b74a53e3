"""Plain imports: those that begin a line and end with it, as almost all do. They are relocated without a parser.

`from tg.x import` and `import tg.x as y` outside of strings and comments are statements, whatever stands around them. So
all that has to be known is where strings and comments are, up to the last place that may be an import, and that is near
the beginning. A module with any other form among them is left to the parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .relative_names import RelativeNames
from .source_text import Edit

__all__ = ["plain_edits"]

_NO_CODE = re.compile(
    rb"#[^\r\n]*"
    rb'|"""(?:[^"\\]|\\.|"(?!""))*"""'
    rb"|'''(?:[^'\\]|\\.|'(?!''))*'''"
    rb'|"(?:[^"\\\r\n]|\\\r\n|\\.)*"'
    rb"|'(?:[^'\\\r\n]|\\\r\n|\\.)*'",
    re.DOTALL,
)
_NAME = rb"[A-Za-z_][A-Za-z_0-9]*"
_DOTTED = rb"%b(?:\.%b)*" % (_NAME, _NAME)
_ALIAS = rb"%b(?:[ \t]+as[ \t]+%b)?" % (_DOTTED, _NAME)
_FROM = re.compile(rb"[ \t\f]*from[ \t]+(\.*%b|\.+)[ \t]+import\b" % _DOTTED)
_IMPORT = re.compile(
    rb"[ \t\f]*(import[ \t]+(%b(?:[ \t]*,[ \t]*%b)*))[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n|\Z)" % (_ALIAS, _ALIAS)
)
_ENCODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*(?!utf-?8\b)", re.IGNORECASE | re.MULTILINE)


def plain_edits(source: bytes, names: RelativeNames, places: Iterator[int], *, in_strings: bool) -> list[Edit] | None:
    """The edits that relocate a module whose imports of roots may be at `places`; `None` where a parser has to look.

    `in_strings`: whether it has to look where one of the places is inside of a string.
    """
    if _ENCODING.search(source, 0, 400):
        return None
    begins = sorted({max(source.rfind(b"\n", 0, place), source.rfind(b"\r", 0, place)) + 1 for place in places})
    skipped = _NO_CODE.finditer(source, 0)
    skip = next(skipped, None)
    edits: list[Edit] = []
    for begin in begins:
        while skip is not None and skip.end() <= begin:
            skip = next(skipped, None)
        if skip is not None and skip.start() < begin:
            if in_strings:
                return None
            continue  # the line is inside of a string
        done = _edits_of_line(source, begin, names)
        if done is None:
            return None
        edits += done
    return edits


def _edits_of_line(source: bytes, begin: int, names: RelativeNames) -> list[Edit] | None:
    if found := _FROM.match(source, begin):
        module = found[1].decode()
        return [(*found.span(1), names.relative(module).encode())] if names.has(module) else []
    if found := _IMPORT.match(source, begin):
        aliases = [alias.split() for alias in found[2].decode().split(",")]
        pairs = [(alias[0], alias[2] if len(alias) > 1 else None) for alias in aliases]
        if not any(names.has(name) for name, _ in pairs):
            return []
        return [(*found.span(1), names.import_statement(pairs).encode())]
    return [] if source.startswith((b"#", b"@"), begin) else None
