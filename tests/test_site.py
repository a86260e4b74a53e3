"""The documentation site: it is built with strict links, needs nothing from elsewhere, and can be read on a phone, light and dark."""

from __future__ import annotations

import contextlib
import functools
import http.server
import itertools
import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from browsers import OVERFLOW, with_one_python
from playwright.sync_api import Browser, Page, TimeoutError
from projects import REPOSITORY
from waiting import until

pytestmark = with_one_python
LOOKED_AT = [
    "index",
    "delivery",
    "concepts/relocation",
    "places/container",
    "architecture",
    "reference/packages",
    "reference/errors",
]
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the site was built into."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(REPOSITORY / "scripts/site"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_of_the_documents_is_on_the_site(build: Path) -> None:
    documents = {file.relative_to(REPOSITORY / "docs").with_suffix("") for file in (REPOSITORY / "docs").rglob("*.md")}
    pages = {file.relative_to(build / "site").with_suffix("") for file in (build / "site").rglob("*.html")}
    assert {one for one in documents if one.name != "README"} - pages == set()
    assert {Path(name) for name in ("decisions/index", "delivery", "benchmarks", "changes", "licence")} - pages == set()


def test_the_site_fetches_nothing_from_elsewhere(build: Path) -> None:
    for file in (build / "site").rglob("*.html"):
        text = re.sub(r"<a\s[^>]*>|<pre.*?</pre>|<code.*?</code>", "", file.read_text("utf-8"), flags=re.DOTALL)
        assert re.findall(r'(?:src|href|data)="(?:https?:)?//[^"]*"', text) == [], file


def test_the_reference_shows_what_docstrings_say(build: Path) -> None:
    text = (build / "site/reference/packages.html").read_text("utf-8")
    assert 'id="tg.common.delivery.delivery.packaging.Packaging.make_package"' in text
    assert "Write the package into the folder" in text


def test_a_link_that_leads_nowhere_fails_the_build(build: Path, tmp_path: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.md").write_text("# Start\n\n[the other page](other.md)\n", encoding="utf-8")
    configuration = re.sub(
        r"^nav = \[$.*?^\]$", "", (build / "zensical.toml").read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    (tmp_path / "zensical.toml").write_text(configuration, encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(tmp_path / "zensical.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode != 0
    assert "page does not exist" in done.stdout + done.stderr


def text_and_ground(page: Page, selector: str) -> tuple[list[float], list[float]]:
    """The colours of an element's text and of what is behind it, red, green and blue."""
    return page.evaluate(
        """selector => {
            const numbers = colour => {
                const context = document.createElement('canvas').getContext('2d');
                context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
                return [...context.getImageData(0, 0, 1, 1).data];
            };
            const one = document.querySelector(selector);
            let ground = one;
            while (ground.parentElement && numbers(getComputedStyle(ground).backgroundColor)[3] < 255) ground = ground.parentElement;
            const style = getComputedStyle(one);
            const text = one instanceof SVGElement ? style.fill : style.color;
            return [numbers(text).slice(0, 3), numbers(getComputedStyle(ground).backgroundColor).slice(0, 3)];
        }""",
        selector,
    )


def contrast(text: list[float], ground: list[float]) -> float:
    """As WCAG 2 defines it, 1 to 21."""

    def luminance(colour: list[float]) -> float:
        parts = [value / 255 for value in colour]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(text), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


def wait_until_readable(page: Page, selector: str, scheme: str) -> None:
    """Until an element's text stands out: light on dark, or dark on light. A page's colours change by and by."""

    def stands_out() -> bool:
        text, ground = text_and_ground(page, selector)
        return contrast(text, ground) > 7 and (sum(text) > sum(ground)) == (scheme == "dark")

    until(stands_out, told=lambda: f"{selector}, {scheme}: {text_and_ground(page, selector)}")


@pytest.fixture(scope="module")
def address(build: Path) -> Iterator[str]:
    """Where the site is served."""
    handler = functools.partial(_Quiet, directory=str(build / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The log of the tests is not for that."""


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_page_can_be_read_on_a_phone_and_on_a_desk(address: str, browser: Browser, name: str) -> None:
    with browser.new_context(viewport={"width": 360, "height": 900}) as context:
        page = context.new_page()
        asked, failed = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
        page.goto(f"{address}/{name}.html")
        for width, scheme in itertools.product((360, 1280), SCHEMES):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            wait_until_readable(page, "article p", scheme)
            assert page.evaluate("innerWidth") == width
            assert page.evaluate(OVERFLOW) <= 0, (width, scheme)
            if name == "concepts/relocation":
                drawn = page.locator(".drawing svg").bounding_box()
                assert drawn is not None
                assert drawn["width"] >= min(width - 60, 500)
                wait_until_readable(page, ".drawing text", scheme)
            if name == "delivery":
                wait_until_readable(page, ".tg-card td", scheme)
        assert failed == []
        assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_the_search_finds_a_page(address: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{address}/index.html")
    asked = page.get_by_role("combobox")
    for _ in range(20):  # the button does nothing as long as the page is not ready
        with contextlib.suppress(TimeoutError):
            if not asked.is_visible():
                page.locator(".md-search__button").first.click(timeout=5000)
            asked.wait_for(timeout=5000)
            break
    asked.fill("relocation")
    # The version of the site's tool that Python 3.10 can have shows links, with the section that each page is in.
    found = page.get_by_role("option", name="Relocation").or_(
        page.get_by_role("link", name=re.compile("Concepts.*Relocation"))
    )
    found.first.wait_for(timeout=120_000)
    page.close()


@pytest.mark.parametrize("file", sorted((REPOSITORY / "docs").rglob("*.svg")), ids=lambda file: file.stem)
def test_a_drawing_can_be_shown_alone_and_says_what_it_shows(file: Path) -> None:
    root = ElementTree.parse(file).getroot()
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert title.text
    assert title.get("id") == root.get("aria-labelledby")
    assert "prefers-color-scheme" in file.read_text("utf-8")
