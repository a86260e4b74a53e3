"""The project around the code: what our own wheel ships, what the lock and the Makefile say."""

from __future__ import annotations

import hashlib
import re
import subprocess
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def members(our_wheel: Path) -> list[PurePosixPath]:
    with zipfile.ZipFile(our_wheel) as archive:
        return [PurePosixPath(name) for name in archive.namelist()]


def test_our_wheel_leaves_tg_a_namespace_package(members: list[PurePosixPath]) -> None:
    assert PurePosixPath("tg/__init__.py") not in members


def test_our_wheel_ships_every_file_of_tg_common(members: list[PurePosixPath]) -> None:
    ours = {
        PurePosixPath(path.relative_to(ROOT).as_posix())
        for path in (ROOT / "tg" / "common").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert PurePosixPath("tg/common/py.typed") in ours
    assert ours <= set(members)


def test_our_wheel_ships_nothing_outside_tg_common(our_wheel: Path, members: list[PurePosixPath]) -> None:
    dist_info = "-".join(our_wheel.name.split("-")[:2]) + ".dist-info"
    others = [member for member in members if member.parts[:2] != ("tg", "common")]
    assert {member.parts[0] for member in others} == {dist_info}


def test_our_wheel_says_what_it_is_and_nothing_else(our_wheel: Path, members: list[PurePosixPath]) -> None:
    about = {"/".join(member.parts[1:]) for member in members if member.parts[0].endswith(".dist-info")}
    assert about == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    with zipfile.ZipFile(our_wheel) as archive:
        (commands,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert commands.split() == ["[console_scripts]", "tg", "=", "tg.common.cli.command:main"]


def test_the_version_stands_in_one_place(our_wheel: Path) -> None:
    version = our_wheel.name.split("-")[1]
    files = [
        ROOT / "pyproject.toml",
        *(ROOT / "tg/common").rglob("*.py"),
        *(ROOT / "scripts").iterdir(),
        ROOT / "Makefile",
    ]
    told = [path.name for path in files if re.search(rf"\b{re.escape(version)}\b", path.read_text("utf-8"))]
    assert told == ["pyproject.toml"]


def test_the_changelog_tells_of_this_version(our_wheel: Path) -> None:
    version = our_wheel.name.split("-")[1]
    headings = re.findall(r"^## \[?([^]\s]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] in {"Unreleased", version}


def test_every_make_target_has_its_line_in_the_list() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE))
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.MULTILINE))
    assert targets == phony

    listed = subprocess.run(["make", "-C", ROOT, "--no-print-directory"], capture_output=True, text=True, check=True)
    assert {line.split()[1] for line in listed.stdout.splitlines()} == targets


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").iterdir()), ids=lambda path: path.name)
def test_requirements_name_no_index_and_no_path_of_a_machine(path: Path) -> None:
    for line in path.read_text("utf-8").splitlines():
        assert not re.search(r"://|--(extra-)?index|--find-links|(^|\s)/", line), line


def test_every_pin_of_the_lock_has_its_hashes() -> None:
    lock = (ROOT / "requirements" / "dev.lock").read_text("utf-8").replace("\\\n", "")
    pins = [line for line in lock.splitlines() if line and not line.lstrip().startswith("#")]
    assert pins
    assert [pin for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


@pytest.mark.parametrize("folder", sorted((ROOT / "tg").rglob("vendor")), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_others_have_written_is_as_they_released_it(folder: Path) -> None:
    table = re.findall(
        r"^\| `([^`]+)` \|.*`([0-9a-f]{64})` \|$", (folder / "README.md").read_text("utf-8"), re.MULTILINE
    )
    files = {path.name for path in folder.iterdir() if path.suffix in (".js", ".css")}
    assert files
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files} == dict(table)
