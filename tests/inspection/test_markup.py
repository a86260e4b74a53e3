"""Markup: whatever a text is, it is text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.inspection.markup import Markup, in_lines, tag, visible


class Seen(HTMLParser):
    """The elements and the text of a piece of HTML, as a browser reads it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(), st.text())
def test_a_text_stays_a_text_as_a_child_and_as_an_attribute(child: str, attribute: str) -> None:
    seen = Seen(tag("p", child, title=attribute))
    assert seen.elements == [("p", {"title": visible(attribute)})]
    assert seen.text == visible(child)


@given(st.text())
def test_all_of_a_text_is_seen_and_can_be_written(text: str) -> None:
    shown = visible(text)
    assert shown.replace("\t", "").isprintable()
    shown.encode()


def test_what_is_markup_already_is_not_escaped_again() -> None:
    assert (
        tag("p", Markup("<br>"), " & ", tag("b", 1), class_="a", open=True, hidden=None)
        == '<p class="a" open><br> &amp; <b>1</b></p>'
    )


def test_line_ends_are_line_ends_where_that_is_meant() -> None:
    assert visible("a\nb\u202e\x1b[2J") == "a\\nb\\u202e\\x1b[2J"
    assert in_lines("<a>\n\x00") == "&lt;a&gt;\n\\x00"
