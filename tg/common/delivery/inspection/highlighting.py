"""Highlighting: which parts of a line of Python are keywords, texts, comments and numbers; and which of it differ from another."""

from __future__ import annotations

import difflib
import io
import keyword
import re
import token
import tokenize
from collections.abc import Iterable, Sequence
from itertools import pairwise

from .markup import Markup, tag

__all__ = ["Span", "changed_spans", "python_spans", "spanned"]

Span = tuple[int, int, str]
"""Where it begins and ends in its line, and of what kind it is."""

_MOST_CHARACTERS = 400_000
_LONGEST_LINE = 400
_ALIKE = 0.4
_WORDS = re.compile(r"\w+|\s+|.")
_STRINGS = {token.STRING, *(getattr(token, f"FSTRING_{part}", token.STRING) for part in ("START", "MIDDLE", "END"))}


def python_spans(source: bytes) -> dict[int, list[Span]]:
    """The spans of a module by line, from 1 on. Of what is no Python, those up to where it is none."""
    found: dict[int, list[Span]] = {}
    text = source.decode("utf-8", "replace")
    if len(text) > _MOST_CHARACTERS:
        return found
    try:
        for one in tokenize.generate_tokens(io.StringIO(text).readline):
            kind = _kind(one)
            if kind:
                (line, begin), (last, end) = one.start, one.end
                for number in range(line, last + 1):
                    found.setdefault(number, []).append(
                        (begin if number == line else 0, end if number == last else _LONGEST_LINE * 1000, kind)
                    )
    except (tokenize.TokenError, SyntaxError, RecursionError, UnicodeDecodeError):
        pass  # the last is what Python 3.12 and 3.13 say of some lines that end with a carriage return alone
    return found


def changed_spans(before: str, after: str) -> tuple[list[Span], list[Span]]:
    """What two lines do not have in common, in each of them; nothing where they have little, and where they are long."""
    if max(len(before), len(after)) > _LONGEST_LINE:
        return [], []
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return [], []
    old_spans, new_spans = [], []
    for kind, i, i_end, j, j_end in matcher.get_opcodes():
        if kind != "equal":
            old_spans.append(_words_span(old, i, i_end))
            new_spans.append(_words_span(new, j, j_end))
    return old_spans, new_spans


def _words_span(words: Sequence[str], begin: int, end: int) -> Span:
    start = sum(map(len, words[:begin]))
    return start, start + sum(map(len, words[begin:end])), "changed"


def spanned(text: str, syntax: Iterable[Span], changed: Sequence[Span] = ()) -> Markup:
    """A line as HTML, with the kinds of its spans as classes."""
    cuts = {0, len(text)}
    layers = [sorted(syntax), sorted(changed)]
    for begin, end, _ in (*layers[0], *layers[1]):
        cuts |= {min(begin, len(text)), min(end, len(text))}
    pieces = []
    for begin, end in pairwise(sorted(cuts)):
        kinds = [kind for spans in layers for start, stop, kind in spans if start <= begin and end <= stop]
        pieces.append(tag("span", text[begin:end], class_=" ".join(kinds) or None))
    return Markup("".join(pieces))


def _kind(one: tokenize.TokenInfo) -> str | None:
    if one.type == token.NAME and keyword.iskeyword(one.string):
        return "keyword"
    if one.type in _STRINGS:
        return "string"
    return {token.COMMENT: "comment", token.NUMBER: "number"}.get(one.type)
