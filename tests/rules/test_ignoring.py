"""`.deliveryignore` means what a `.gitignore` means."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tg.common.delivery.delivery.ignoring import IgnoreRules, is_dropping

PATHS = [
    "a",
    "b.txt",
    "a.txt",
    "d/a",
    "d/b.txt",
    "d/e/a",
    "d/e/b.log",
    "e/d/a",
    "data/x.csv",
    "data/raw/x.csv",
    "x/data/y.csv",
]
PATTERN = st.lists(
    st.sampled_from(
        ["a", "*", "**", "/", "d", "e", "*.txt", "?", "[ab]", "!", "data", "x.csv", "[!a]", ".", "#", " ", "b.*"]
    ),
    min_size=1,
    max_size=4,
).map("".join)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    for path in PATHS:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def ignored_by_us(text: str) -> set[str]:
    rules = IgnoreRules().with_file(text, "")
    found = set()
    for path in PATHS:
        parts = path.split("/")
        folders = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
        if any(rules.ignores(folder, is_folder=True) for folder in folders) or rules.ignores(path, is_folder=False):
            found.add(path)
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(patterns=st.lists(PATTERN, min_size=1, max_size=3))
def test_the_same_is_ignored_as_by_git(repository: Path, patterns: list[str]) -> None:
    text = "\n".join(patterns) + "\n"
    (repository / ".gitignore").write_text(text)
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=repository, input="\n".join(PATHS), capture_output=True, text=True,
    )  # fmt: skip
    assert ignored_by_us(text) == set(done.stdout.split()), text


def test_a_file_in_a_folder_holds_for_that_folder_and_goes_before_those_above() -> None:
    rules = IgnoreRules().with_file("*.csv\n", "").with_file("!keep.csv\n/top.txt\n", "data")
    assert rules.ignores("x.csv", is_folder=False)
    assert not rules.ignores("data/keep.csv", is_folder=False)
    assert rules.ignores("data/top.txt", is_folder=False)
    assert not rules.ignores("top.txt", is_folder=False)


@pytest.mark.parametrize("name", ["x.pyc", "x.py~", ".x.py.swp", "#x#", ".#x", ".DS_Store", "Thumbs.db", ".git"])
def test_droppings_are_files_that_nobody_wrote(name: str) -> None:
    assert is_dropping(name, is_folder=False)


@pytest.mark.parametrize("name", ["x.py", "data.csv", "py.typed", ".deliveryignore", ".hidden", "swp", "a~b"])
def test_other_files_are_none(name: str) -> None:
    assert not is_dropping(name, is_folder=False)


@pytest.mark.parametrize("name", ["__pycache__", ".git", ".ipynb_checkpoints", ".mypy_cache"])
def test_folders_that_tools_leave_are_droppings(name: str) -> None:
    assert is_dropping(name, is_folder=True)


RARE = st.lists(
    st.sampled_from(
        [
            "[z-a]",
            "[[:alpha:]]",
            "[!b]",
            "[^a]",
            "[]a]",
            "[[:x:]]",
            "\\",
            "[",
            "]",
            "-",
            "**/",
            "/**",
            "a",
            "d",
            ".txt",
            " ",
        ]
    ),
    min_size=1,
    max_size=4,
).map("".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(pattern="[z-a]")
@example(pattern="[a[z-a]")
@example(pattern="[a-[z-a]")
@example(pattern="**\\/a")
@example(pattern="[[:alpha:]]")
@example(pattern="[[:alpha]")
@example(pattern="***/a")
@example(pattern="d**/[]a]")
@example(pattern="d**/**/")
@example(pattern="/a**")
@given(pattern=RARE)
def test_rare_patterns_mean_what_they_mean_to_git(repository: Path, pattern: str) -> None:
    (repository / ".gitignore").write_text(pattern + "\n")
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=repository, input="\n".join(PATHS), capture_output=True, text=True,
    )  # fmt: skip
    assert ignored_by_us(pattern + "\n") == set(done.stdout.split()), pattern
