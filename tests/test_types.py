"""What users' type checkers say of delivery, as it is installed: programs in `types/` say what each expression is, and what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from environments import make_environment
from projects import REPOSITORY

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="type checkers are told which Python to check for, and are the same for all"
)

PROGRAMS = REPOSITORY / "tests/types"


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, our_wheel: Path) -> Path:
    """A folder of a user's programs, and beside it an environment that has nothing but our wheel."""
    base = tmp_path_factory.mktemp("user")
    make_environment(base / "venv")
    (packages,) = (base / "venv").glob("lib/python*/site-packages")
    shutil.unpack_archive(our_wheel, packages, "zip")
    shutil.copytree(PROGRAMS, base / "programs", ignore=shutil.ignore_patterns("__pycache__"))
    return base


def test_mypy_says_what_each_expression_is(user: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", user / "cache"]
    checked = subprocess.run(
        [*command, "--python-executable", user / "venv/bin/python", "."],
        cwd=user / "programs",
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"in {len(list(PROGRAMS.glob('*.py')))} source files" in checked.stdout


def test_pyright_says_the_same(user: Path) -> None:
    command = [sys.executable, "-m", "pyright", "--pythonpath", user / "venv/bin/python", "--project", "."]
    checked = subprocess.run(command, cwd=user / "programs", capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 errors, 0 warnings" in checked.stdout
