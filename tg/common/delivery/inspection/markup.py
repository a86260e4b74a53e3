"""Markup: HTML whose text cannot be taken for HTML. Every text is escaped and shown as it is, whatever it tries to look like."""

from __future__ import annotations

from html import escape

__all__ = ["Markup", "in_lines", "tag", "visible"]

_VOID = ("br", "meta")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def visible(text: str) -> str:
    """A text with nothing in it that a reader does not see: control characters, marks that turn the direction, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\t" else one.encode("unicode_escape").decode() for one in text)


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element. Children that are no `Markup` are text; `class_` is `class`, `data_x` is `data-x`; `True` is an attribute alone."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_text(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    inside = "".join(one if isinstance(one, Markup) else _text(one) for one in children if one is not None)
    return Markup(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{inside}</{name}>")


def in_lines(text: str) -> Markup:
    """A text whose line ends are line ends; elsewhere they are shown as what they are."""
    return Markup("\n".join(map(_text, text.split("\n"))))


def _text(value: object) -> str:
    return escape(visible(str(value)))
