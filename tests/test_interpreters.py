"""Packages made under one Python load under the others: 3.10 to 3.13, as far as they are installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from projects import Project

VERSIONS = ("3.10", "3.11", "3.12", "3.13")


@cache
def interpreter(version: str) -> str | None:
    """A bare Python of that version: on the PATH, of pyenv, or the one that runs."""
    if sys.version.startswith(version + "."):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [*sorted(map(str, pyenv.glob(f"{version}.*/bin/python"))), shutil.which(f"python{version}")]
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        done = subprocess.run([candidate, "-c", code], capture_output=True, text=True)
        if done.stdout.strip() == version:
            return candidate
    return None


INSTALLED = [version for version in VERSIONS if interpreter(version) is not None]

JOB = """
import enum
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field

Point = namedtuple('Point', 'x y')

class Color(enum.Enum):
    RED = 1

@dataclass(frozen=True)
class Setting:
    names: frozenset = frozenset({'b', 'a'})
    color: Color = Color.RED

class Job:
    def __init__(self):
        self.setting = Setting()
        self.point = Point(1, 2.5)
        self.ordered = OrderedDict(a=[1], b={'x', 'y'})
        self.big = bytes(100_000)

    def run(self):
        from .late import answer
        return answer(), sorted(self.setting.names), self.setting.color.name, self.point.y, len(self.big)
"""


@pytest.fixture
def rich(project: Project) -> Project:
    project.write("tg/my/job.py", JOB)
    project.write("tg/my/late.py", "def answer():\n    return 'late'\n")
    return project


@pytest.mark.parametrize("built_under", INSTALLED)
def test_a_package_loads_under_every_python_whichever_made_it(rich: Project, built_under: str) -> None:
    file = rich.deliver(python=interpreter(built_under) or "")
    for version in INSTALLED:
        printed = rich.run(
            f"""
            from tg.common.delivery.delivery import install_package_and_get_loader
            print(install_package_and_get_loader({str(file)!r}, silent=True).load_resource('job').run())
            """,
            python=interpreter(version) or "",
            with_project=False,
        )
        assert printed.strip() == "('late', ['a', 'b'], 'RED', 2.5, 100000)", version


def test_the_python_that_runs_the_tests_is_among_those_that_are_tested() -> None:
    assert ".".join(map(str, sys.version_info[:2])) in INSTALLED
