"""Highlighting: what of a line is what, and what differs between two."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from tg.common.delivery.inspection.highlighting import changed_spans, python_spans, spanned


def kinds(source: str, line: int = 1) -> list[tuple[str, str]]:
    text = source.split("\n")[line - 1]
    return [(text[begin:end], kind) for begin, end, kind in python_spans(source.encode()).get(line, [])]


def test_the_parts_of_a_line() -> None:
    assert kinds("if x == 12: return 'a'  # note\n") == [
        ("if", "keyword"),
        ("12", "number"),
        ("return", "keyword"),
        ("'a'", "string"),
        ("# note", "comment"),
    ]


def test_a_text_over_lines_is_a_text_in_each() -> None:
    source = 'x = """first\n  second\nthird"""\n'
    assert [kinds(source, line) for line in (1, 2, 3)] == [
        [('"""first', "string")],
        [("  second", "string")],
        [('third"""', "string")],
    ]


def test_an_f_string_is_a_text_whatever_python_takes_it_for() -> None:
    text = "".join(part for part, kind in kinds("f'a{b}c'\n") if kind == "string")
    assert "a" in text
    assert text.startswith("f'")


def test_what_is_no_python_is_highlighted_up_to_there() -> None:
    assert kinds("if (\n") == [("if", "keyword")]


def test_the_words_that_differ_are_found_where_lines_are_alike() -> None:
    assert changed_spans("return value * 2", "return value * 3") == ([(15, 16, "changed")], [(15, 16, "changed")])
    assert changed_spans("return value", "import os, sys") == ([], [])
    assert changed_spans("x" * 1000, "x" * 1000 + "y") == ([], [])


@given(st.text(), st.text())
@example("", "\r\x80")
def test_nothing_of_a_line_is_lost_or_doubled(before: str, after: str) -> None:
    old, new = changed_spans(before, after)
    for text, spans in ((before, old), (after, new)):
        syntax = python_spans(text.encode("utf-8", "replace")).get(1, [])
        plain = re.sub("<[^>]+>", "", spanned(text, syntax, spans))
        assert plain == re.sub("<[^>]+>", "", spanned(text, []))
