"""How much is injected: a short, seeded part in every run of the tests, all of it in `make soak`, which tells what was run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from soaking import Soak


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> Iterator[Soak]:
    """`TG_SOAK=1` makes it long, `TG_SOAK_SEED` gives other random numbers."""
    made = Soak(bool(os.environ.get("TG_SOAK")), int(os.environ.get("TG_SOAK_SEED", "20261123")))
    started = time.monotonic()
    yield made
    for text in made.told:
        request.node.user_properties.append(("soak", f"{text} ({time.monotonic() - started:.0f} s, seed {made.seed})"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was injected, a line each."""
    if not os.environ.get("TG_SOAK"):
        return
    # A test's report of its call comes before its fixtures tell: what they told is in the report of its teardown.
    reports = [
        report for some in terminalreporter.stats.values() for report in some if hasattr(report, "user_properties")
    ]
    failed = {report.nodeid for report in reports if report.failed}
    lines = [
        f"{'failed' if report.nodeid in failed else 'passed'}  {report.head_line}: {text}"
        for report in reports
        if report.when == "teardown"
        for name, text in report.user_properties
        if name == "soak"
    ]
    terminalreporter.section("faults")
    terminalreporter.write("\n".join(lines) + "\n")
