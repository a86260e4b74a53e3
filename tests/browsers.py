"""A real browser in tests: what it notes of a page, and what a page must have for those who do not see it or have a small screen."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page

# `make test` makes an environment for each Python besides the default one, `.venv-3.X`.
with_one_python = pytest.mark.skipif(
    Path(sys.prefix).name.startswith(".venv-"),
    reason="pages do not depend on the Python, and browsers take long to start: they are tried with the default one",
)

_REFUSED = "Failed to load resource: the server responded with a status of 4"
"""What the browser itself notes of an answer that the page then tells the user of."""

_NAMELESS = """() => {
  const nameOf = (one) => one.getAttribute("aria-label") || one.textContent.trim() || one.title ||
    [...(one.labels ?? [])].map((label) => label.textContent.trim()).join("");
  return [...document.querySelectorAll("button, a, input, select, summary, dialog, progress, [role=region]")]
    .filter((one) => !nameOf(one)).map((one) => one.outerHTML);
}"""
_HEADINGS = '() => [...document.querySelectorAll("h1, h2, h3, h4")].map((one) => Number(one.tagName[1]))'
_DOUBLE_IDS = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  return ids.filter((id, place) => ids.indexOf(id) !== place);
}"""
_DANGLING = """() => [...document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]")]
  .map((one) => one.getAttribute("aria-labelledby") ?? one.getAttribute("aria-describedby") ?? one.htmlFor)
  .filter((id) => !document.getElementById(id))"""
_HEADERS_WITHOUT_SCOPE = '() => document.querySelectorAll("th:not([scope])").length'
OVERFLOW = "() => document.documentElement.scrollWidth - innerWidth"


def listen(page: Page) -> list[str]:
    """The list into which everything comes that is wrong on the console of a tab."""
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_REFUSED):
            wrong.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return wrong


def wrong_for_listeners(page: Page) -> list[str]:
    """What a screen reader could not tell of a page: names that are missing, headings out of order."""
    wrong = [f"no name: {one}" for one in page.evaluate(_NAMELESS)]
    wrong += [f"twice: {one}" for one in page.evaluate(_DOUBLE_IDS)]
    wrong += [f"leads nowhere: {one}" for one in page.evaluate(_DANGLING)]
    wrong += ["a header without a scope"] * page.evaluate(_HEADERS_WITHOUT_SCOPE)
    levels = page.evaluate(_HEADINGS)
    if (
        levels.count(1) != 1
        or levels[0] != 1
        or any(after - before > 1 for before, after in itertools.pairwise(levels))
    ):
        wrong.append(f"headings: {levels}")
    if page.locator("html").get_attribute("lang") != "en":
        wrong.append("no language")
    return wrong
