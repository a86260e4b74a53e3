"""Which literal paths a module opens that are there in its project, and which it only writes, or asks for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tg.common.delivery.delivery.opened_files import opened_paths, paths_that_will_not_exist

OPENED = [
    "open('data/x.csv')",
    "open('data/x.csv', 'r+')",
    "open(file='data/x.csv')",
    "io.open('./data/x.csv')",
    "pandas.read_csv('data/x.csv', sep='w')",
    "pandas.read_csv(filepath_or_buffer='data/x.csv')",
    "numpy.load('data/x.csv')",
    "Path('data/x.csv').read_text()",
    "Path('data', 'x.csv').open()",
    "open(os.path.join('data', 'x.csv'))",
    "open(Path('data/x.csv'))",
    "ZipFile('data/x.csv')",
]

NOT_OPENED = [
    "open('data/x.csv', 'w')",
    "open('data/x.csv', mode='ab')",
    "ZipFile('data/x.csv', 'w')",
    "Path('data/x.csv').write_text('1')",
    "Path('data/x.csv').open('w')",
    "Path('data/../data').mkdir(exist_ok=True)",
    "open('data/x.csv', 'w')\nopen('data/x.csv').read()",
    "Path('.')",
    "os.listdir('./')",
    "Path('../..').resolve()",
    "os.path.exists('data/x.csv')",
    "print('data/x.csv')",
    "open('data/' + name)",
    "open('data/no.csv')",
    "open('/dev/null')",
    "if __name__ == '__main__':\n    open('data/x.csv')",
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `data/x.csv`, which the program runs in."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x.csv").write_text("1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(source: str, portion: Path) -> list[tuple[int, str]]:
    return [(line, there) for line, _, there in paths_that_will_not_exist(opened_paths(ast.parse(source)), portion)]


@pytest.mark.parametrize("source", OPENED)
def test_what_is_opened_and_will_not_be_there_is_told_with_its_line(source: str, project: Path) -> None:
    assert told(f"\n{source}", project / "tg") == [(2, str(project / "data/x.csv"))]


@pytest.mark.parametrize("source", NOT_OPENED)
def test_what_is_written_or_only_asked_for_is_not(source: str, project: Path) -> None:
    assert told(source, project / "tg") == []


def test_a_path_is_also_seen_from_the_folder_above_the_root(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert told("open('data/x.csv')", project / "tg") == [(1, str(project / "data/x.csv"))]
    (tmp_path / "elsewhere").rmdir()
    assert told("open('data/x.csv')", project / "tg") == [(1, str(project / "data/x.csv"))]
