"""The command as a user has it: a process of its own, in a project that `tg init` has laid out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from projects import REPOSITORY

Command = Callable[..., subprocess.CompletedProcess[str]]

TG = [sys.executable, str(Path(sys.executable).with_name("tg"))]
"""The script that installing has written."""


def environment_of(home: Path, **more: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TG_", "NO_COLOR", "FORCE_COLOR"))
    }
    ours = {"PYTHONPATH": str(REPOSITORY), "TG_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **ours, "COLUMNS": "120", "LINES": "40", **more}


def command_in(folder: Path, home: Path) -> Command:
    def tg(*arguments: object, cwd: Path = folder, exit_code: int = 0, **more: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*TG, *map(str, arguments)],
            cwd=cwd,
            env=environment_of(home, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == exit_code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return tg


@pytest.fixture(scope="session")
def _once() -> None:
    """What does not depend on the Python is tried with one of them."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the command is tried with Python 3.11")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, _once: None) -> Path:
    """A project as `tg init` lays it out, with jobs that go wrong besides. Tests of one worker share it and its TG_HOME."""
    folder = tmp_path_factory.mktemp("user") / "shop"
    command_in(folder.parent, folder.parent / "home")("init", folder)
    (folder / "tg/mylibrary/odd.py").write_text(ODD)
    return folder


@pytest.fixture
def tg(shop: Path) -> Command:
    """The command in that project."""
    return command_in(shop, shop.parent / "home")


@pytest.fixture
def bare(tmp_path: Path) -> Command:
    """The command in an empty folder."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return command_in(folder, tmp_path / "home")


ODD = """\
import time
from pathlib import Path

from tg.common.delivery.delivery import Packaging


class Failing:
    def run(self):
        return {}["no such price"]


class Patient:
    def run(self):
        print("waiting", flush=True)
        while True:
            time.sleep(0.05)


class Priced:
    def __init__(self, price):
        self.price = price

    def run(self):
        return self.price


class Needy:
    def run(self):
        import packaging

        return packaging.__name__


def plain():
    return "a function"


whole = {"job": Priced(2), "samples": [1, 2]}
settings = Packaging("prices", "3.0", {"job": Priced(3)})
nothing = {"price": 1}
number = 7
"""
