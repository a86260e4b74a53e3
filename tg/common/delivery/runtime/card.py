"""A card: what a notebook shows of an object, a title over a table of facts.

It is one piece of HTML that needs nothing else. All its colours are made of the colour that text has around it, so it is light
where the notebook is light and dark where it is dark, with no theme to be told. Where styles are taken out, as on sites that show
notebooks of strangers, a heading and a table stay. Whatever is put into it is text: no markup of an object's gets through.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

__all__ = ["card"]

_OWN = ".tg-card" * 3
"""Said three times, it comes before what notebooks and sites say of their tables."""

_STYLE = (
    ".tg-card{max-width:60em;margin:.4em 0;border:1px solid;border-color:color-mix(in srgb,currentColor 25%,transparent);"
    "border-radius:6px;overflow:hidden;font-size:.9em;line-height:1.45}"
    ".tg-head{padding:.45em .8em;background:color-mix(in srgb,currentColor 7%,transparent)}"
    f"{_OWN} table{{display:table;width:100%;margin:0;border:0;border-collapse:collapse;table-layout:auto;font-size:1em}}"
    f"{_OWN} tr{{background:none;border:0}}"
    f"{_OWN} th,{_OWN} td{{padding:.2em .8em;border:0;text-align:left;vertical-align:top;white-space:normal}}"
    f"{_OWN} th{{width:1%;font-weight:normal;white-space:nowrap;opacity:.7}}"
    f"{_OWN} td{{font-family:ui-monospace,monospace;overflow-wrap:anywhere}}"
    # Turned over, so that what is scrolled stands at its end, where a log goes on.
    ".tg-log{display:flex;flex-direction:column-reverse;max-height:24em;overflow:auto;padding:.45em .8em;border-top:1px solid;"
    "border-color:color-mix(in srgb,currentColor 15%,transparent)}"
    f"{_OWN} pre{{margin:0;padding:0;background:none;border:0;color:inherit;font-size:1em;line-height:1.4;white-space:pre-wrap}}"
    ".tg-card i{display:inline-block;width:.6em;height:.6em;margin:0 .35em 0 .8em;border-radius:50%;background:#888}"
    ".tg-card i.running{background:#3b82f6}.tg-card i.succeeded{background:#22a355}.tg-card i.failed{background:#e5484d}"
)

_LEFT = 'style="text-align:left"'
"""Stays where the styles above are taken out."""


def card(
    kind: str, title: str, facts: Iterable[tuple[str, object]], *, state: str = "", lines: Iterable[str] = ()
) -> str:
    """HTML of an object: what kind it is and which, then its facts by name.

    A fact that is `None` or empty is left out; a tuple or list has a line for each of its items. `state` is shown beside the title,
    with a colour where it is one of a run's. `lines` are those of a log.
    """
    shown = f'<i class="{html.escape(state)}"></i>{html.escape(state)}' if state else ""
    rows = "".join(
        f"<tr><th {_LEFT}>{html.escape(name)}</th><td {_LEFT}>{_cell(value)}</td></tr>"
        for name, value in facts
        if value is not None and value != "" and value != () and value != []
    )
    table = f"<table>{rows}</table>" if rows else ""
    text = "\n".join(lines)
    log = f'<div class="tg-log"><pre>{html.escape(text)}</pre></div>' if text else ""
    heading = f'<div class="tg-head">{html.escape(kind)} <b>{html.escape(title)}</b>{shown}</div>'
    return f'<style>{_STYLE}</style><div class="tg-card">{heading}{table}{log}</div>'


def _cell(value: object) -> str:
    items = value if isinstance(value, (list, tuple)) else [value]
    return "<br>".join(html.escape(str(item)) for item in items)
