"""The difference of the source of two installed versions, file by file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["source_difference"]

_NOT_SOURCE = ("__pycache__", "resources")


def source_difference(before: Path, after: Path) -> str:
    """A unified diff of what two packages, given by their folders `UID/`, deliver as text; others are named as different."""
    left, right = (dict(_files(folder)) for folder in (before, after))
    pieces = []
    for path in sorted(left.keys() | right.keys()):
        one, other = left.get(path), right.get(path)
        if one is not None and other is not None and (one.samefile(other) or one.read_bytes() == other.read_bytes()):
            continue
        pieces.append(_difference(path, one, other))
    return "".join(pieces)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in folder.rglob("*"):
        path = file.relative_to(folder)
        if file.is_file() and not set(_NOT_SOURCE) & set(path.parts) and len(path.parts) > 1:
            yield path.as_posix(), file


def _difference(path: str, before: Path | None, after: Path | None) -> str:
    try:
        old, new = (file.read_text("utf-8").splitlines(keepends=True) if file else [] for file in (before, after))
    except UnicodeDecodeError:
        return f"--- {path}\n+++ {path}\nthe files are not text, and differ\n"
    names = (path if before else "/dev/null", path if after else "/dev/null")
    lines = difflib.unified_diff(old, new, *names)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
