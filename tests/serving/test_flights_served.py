"""The flights example: a model is trained by a delivered job, served, swapped for a better one under load, and seen on the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browsers import OVERFLOW, listen, with_one_python
from playwright.sync_api import Browser, Page, expect
from projects import REPOSITORY
from serving.test_page import give_token, row
from waiting import until

pytestmark = with_one_python


@contextmanager
def example(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The example with `--stay`, up to where it waits, and the lines that it has printed."""
    command = [sys.executable, str(REPOSITORY / "examples/flights/serve.py"), "--stay"]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while "Enter or Ctrl-C" not in (line := process.stdout.readline()):
            assert line, "".join(lines)
            lines.append(line)
        try:
            yield process, lines
        finally:
            rest, _ = process.communicate("\n", timeout=60)
            lines += rest.splitlines()


def found(pattern: str, lines: list[str]) -> str:
    (match,) = re.findall(pattern, "".join(lines))
    return str(match)


def charts(page: Page) -> list[str]:
    drawn = page.get_by_role("region", name="Charts of the last minutes").locator("canvas")
    expect(drawn).to_have_count(3)
    return [canvas.evaluate("canvas => canvas.toDataURL()") for canvas in drawn.all()]


def test_the_flights_model_is_swapped_for_a_better_one_while_it_is_asked_and_shown_on_the_page(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        example(tmp_path) as (process, lines),
        browser.new_context(viewport={"width": 1280, "height": 1100}) as context,
    ):
        page = context.new_page()
        wrong = listen(page)
        page.goto(found(r"http://\S+/#/flights_model", lines))
        give_token(page, found(r"token: (\S+)", lines))
        expect(page.get_by_role("heading", name="flights_model", exact=True)).to_be_visible()
        for version, state in (("1.0.0", "ready"), ("1.1.0", "ready"), ("1.2.0", "failed")):
            expect(row(page, version)).to_contain_text(state)
        before = charts(page)
        # Clients ask all the while: the rate and the latency are drawn anew. None fails, so the chart of errors stays.
        until(lambda: all(one != other for one, other in zip(before[:2], charts(page)[:2], strict=True)))
        expect(row(page, "1.2.0")).to_contain_text("WrongSample")
        assert page.evaluate(OVERFLOW) <= 0
        page.screenshot(path=tmp_path.with_name("flights_model.png"))
        assert wrong == []
    printed = "".join(lines)
    assert process.returncode == 0, printed
    assert "None has failed" in printed
    assert "refused" in printed
    assert list(tmp_path.iterdir()) == []
