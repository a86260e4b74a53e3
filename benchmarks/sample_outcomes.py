"""A plugin of pytest: writes each test's outcome to RELOCATION_OUTCOMES, by its path below one of RELOCATION_BASES.

Two lines of JSON at most for a test: [name, "passed" | "skipped" | "failed" | …, what went wrong]; the worst counts.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_BASES = [Path(base).resolve() for base in os.environ["RELOCATION_BASES"].split(os.pathsep)]
_FILE = os.environ["RELOCATION_OUTCOMES"]


def _name(path: Path, nodeid: str) -> str:
    """`networkx/tests/test_x.py::test_y`, wherever the folder lies."""
    path = path.resolve()
    below = next((path.relative_to(base).as_posix() for base in _BASES if path.is_relative_to(base)), str(path))
    return "::".join([below, *nodeid.split("::")[1:]])


def _write(name: str, outcome: str, reason: str) -> None:
    with open(_FILE, "a", encoding="utf-8") as file:
        file.write(json.dumps([name, outcome, reason]) + "\n")


_paths: dict[str, Path] = {}


def pytest_collection_modifyitems(items: list[Any]) -> None:
    _paths.update({item.nodeid: item.path for item in items})


def pytest_runtest_logreport(report: Any) -> None:
    path = _paths.get(report.nodeid)  # unknown to the one who distributes tests to workers, who tell theirs themselves
    if path is not None and (report.when == "call" or report.outcome != "passed"):
        kind = "failed" if report.outcome == "failed" else "xfailed" if hasattr(report, "wasxfail") else report.outcome
        _write(_name(path, report.nodeid), kind, _reason(report))


def pytest_collectreport(report: Any) -> None:
    if report.failed and report.fspath:
        _write(_name(Path(report.fspath).absolute(), report.nodeid.partition("::")[0]), "failed", _reason(report))


def _reason(report: Any) -> str:
    crash = getattr(getattr(report, "longrepr", None), "reprcrash", None)
    text = crash.message if crash else str(getattr(report, "longrepr", "") or "")
    lines = [line for line in text.splitlines() if line.strip()]
    return (lines[0] if crash else lines[-1])[:300] if lines else ""
