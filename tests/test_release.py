"""What is uploaded for a release: built as `make release` does it, from what is tracked, and used where nothing else is."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from projects import REPOSITORY

pytestmark = [
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="what is built does not depend on the Python"),
    pytest.mark.skipif(
        not (REPOSITORY / ".git").exists(), reason="what is released is what git knows, and this is a copy"
    ),
]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The source distribution, the wheel, and what was said."""
    folder = tmp_path_factory.mktemp("released")
    command = [sys.executable, REPOSITORY / "scripts/release", "--without-dependencies", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel, done.stdout


def test_it_works_where_nothing_else_is(released: tuple[Path, Path, str]) -> None:
    _, wheel, said = released
    assert said.splitlines()[:2] == [f"tg {wheel.name.split('-')[1]}", "run in a fresh environment"]


def test_the_wheel_has_the_code_and_nothing_else(released: tuple[Path, Path, str]) -> None:
    with zipfile.ZipFile(released[1]) as wheel:
        tops = {
            name.split("/")[0] if "dist-info" in name else "/".join(name.split("/")[:2]) for name in wheel.namelist()
        }
    assert tops == {"tg/common", "-".join(released[1].name.split("-")[:2]) + ".dist-info"}


def test_the_source_distribution_has_what_builds_the_wheel(released: tuple[Path, Path, str]) -> None:
    with tarfile.open(released[0]) as sdist:
        paths = {name.partition("/")[2] for name in sdist.getnames()}
    about = {path for path in paths if not path.startswith("tg/common/")}
    assert about == {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    with zipfile.ZipFile(released[1]) as wheel:
        assert {path for path in paths if path.startswith("tg/")} == {
            name for name in wheel.namelist() if name.startswith("tg/")
        }


def test_nobody_can_tell_who_built_it_and_when(released: tuple[Path, Path, str]) -> None:
    with tarfile.open(released[0]) as sdist:
        assert {(one.uid, one.gid, one.uname, one.gname, one.mode & 0o022) for one in sdist} == {(0, 0, "", "", 0)}
        assert len({one.mtime for one in sdist}) == 1
    with zipfile.ZipFile(released[1]) as wheel:
        assert len({one.date_time for one in wheel.infolist()}) == 1
