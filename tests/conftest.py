"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one job, `tg.my.job.Job`, whose `run` returns 'one'."""
    made = Project(tmp_path)
    made.write("tg/my/__init__.py", "")
    made.write(
        "tg/my/job.py",
        """
        class Job:
            def run(self):
                return "one"
        """,
    )
    return made


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's packages and store."""
    monkeypatch.setenv("TG_HOME", str(tmp_path / "home"))
