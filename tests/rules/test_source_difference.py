"""The difference of sources: what counts as source, and that it is what `diff -u` says."""

from __future__ import annotations

import difflib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.delivery.source_difference import (
    DifferentLine,
    FileDifference,
    PackagedFile,
    files_of_folder,
    source_difference,
)


def source(**files: bytes) -> dict[str, PackagedFile]:
    return {path: PackagedFile(object(), lambda data=data: data) for path, data in files.items()}  # type: ignore[misc]


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_it_is_a_unified_diff(before: list[str], after: list[str]) -> None:
    old, new = ([f"{line}\n" for line in lines] for lines in (before, after))
    difference = FileDifference("x", "".join(old).encode(), "".join(new).encode())
    if old != new:
        assert str(difference) == "".join(difflib.unified_diff(old, new, "x", "x"))


def test_every_difference_is_named_with_its_state() -> None:
    before = source(a=b"1\n", b=b"1\n", d=b"\xff", same=b"1\n")
    after = source(b=b"2\n", c=b"", d=b"\xfe", same=b"1\n")
    found = source_difference(before, after)
    assert [(one.path, one.state) for one in found] == [
        ("a", "removed"),
        ("b", "changed"),
        ("c", "added"),
        ("d", "changed"),
    ]
    assert str(found[2]) == "--- /dev/null\n+++ c\n"
    assert str(found[3]) == "--- d\n+++ d\nthe files are not text, and differ\n"


def test_a_last_line_without_an_end_is_told() -> None:
    lines = FileDifference("x", b"a\x0cb", b"a\x0cb\n").lines()
    assert lines == [
        DifferentLine("hunk", "@@ -1 +1 @@"),
        DifferentLine("removed", "a\x0cb", 1, None),
        DifferentLine("note", "\\ No newline at end of file"),
        DifferentLine("added", "a\x0cb", None, 1),
    ]


def test_what_is_equal_by_its_identity_is_not_read() -> None:
    def unreadable() -> bytes:
        raise AssertionError

    assert source_difference({"x": PackagedFile(1, unreadable)}, {"x": PackagedFile(1, unreadable)}) == []


def test_files_of_great_length_are_not_compared_line_by_line() -> None:
    (line,) = FileDifference("x", b"a\n" * 30_000, b"b\n").lines()
    assert line == DifferentLine("note", "30,000 and 1 lines are too many to be compared")


def test_the_script_that_was_run_is_source_and_what_names_the_package_is_not(tmp_path: Path) -> None:
    files = (
        "__init__.py",
        "__main__.py",
        "package.json",
        "resources/job",
        "main.py",
        "tg/my/resources/table.csv",
        "tg/__pycache__/x.pyc",
    )
    for path in files:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    assert sorted(files_of_folder(tmp_path)) == ["main.py", "tg/my/resources/table.csv"]
