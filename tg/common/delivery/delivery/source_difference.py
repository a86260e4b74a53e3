"""The difference of the source of two packages, file by file and line by line; each is a file, or installed."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .wheel import WheelReader

__all__ = ["DifferentLine", "FileDifference", "PackagedFile", "files_of_folder", "files_of_wheel", "source_difference"]

_CONTEXT_LINES = 3
_MOST_LINES = 20_000
_NOT_SOURCE = ("__init__.py", "__main__.py", "package.json", "resources")
"""What lies in `UID/` beside the source: it says who the package is, or is the payload."""


@dataclass(frozen=True)
class PackagedFile:
    """A file of a package. Two of the same `identity` need not be read to be known as equal."""

    identity: object
    read: Callable[[], bytes]


@dataclass(frozen=True)
class DifferentLine:
    """A line of a difference, without its end. `kind` is `hunk`, `same`, `removed`, `added` or `note`; the numbers are from 1 on."""

    kind: str
    text: str
    before: int | None = None
    after: int | None = None


@dataclass(frozen=True)
class FileDifference:
    """How a file differs, by its path in `UID/`: its bytes before and after, `None` where it was not there."""

    path: str
    before: bytes | None
    after: bytes | None

    @property
    def state(self) -> str:
        """`added`, `removed` or `changed`."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    def lines(self) -> list[DifferentLine]:
        """The lines that differ and three around them, in hunks; one note where they cannot be compared."""
        try:
            old, new = _split(self.before), _split(self.after)
        except UnicodeDecodeError:
            return [DifferentLine("note", "the files are not text, and differ")]
        if len(old) + len(new) > _MOST_LINES:
            return [DifferentLine("note", f"{len(old):,} and {len(new):,} lines are too many to be compared")]
        return list(_lines(old, new))

    def __str__(self) -> str:
        """As a unified diff."""
        names = (
            self.path if self.before is not None else "/dev/null",
            self.path if self.after is not None else "/dev/null",
        )
        signs = {"removed": "-", "added": "+", "same": " "}
        lines = self.lines()
        text = "".join(f"{signs.get(line.kind, '')}{line.text}\n" for line in lines)
        return f"--- {names[0]}\n+++ {names[1]}\n{text}"


def source_difference(before: Mapping[str, PackagedFile], after: Mapping[str, PackagedFile]) -> list[FileDifference]:
    """What two packages deliver beside their payload and differs, sorted by path."""
    found = []
    for path in sorted(before.keys() | after.keys()):
        one, other = before.get(path), after.get(path)
        if one is not None and other is not None and one.identity == other.identity:
            continue
        old, new = (file.read() if file is not None else None for file in (one, other))
        if old != new:
            found.append(FileDifference(path, old, new))
    return found


def files_of_folder(folder: Path) -> dict[str, PackagedFile]:
    """The source of an installed package, given by its folder `UID/`."""
    found = {}
    for file in folder.rglob("*"):
        path = file.relative_to(folder).as_posix()
        if file.is_file() and "__pycache__" not in path.split("/") and _is_source(path):
            status = os.stat(file)
            found[path] = PackagedFile((status.st_dev, status.st_ino), file.read_bytes)
    return found


def files_of_wheel(wheel: WheelReader) -> dict[str, PackagedFile]:
    """The source of a package file that is open."""
    folder = f"{wheel.facts.module_name}/"
    paths = [path for path in wheel.members if path.startswith(folder) and _is_source(path.removeprefix(folder))]
    return {
        path.removeprefix(folder): PackagedFile(wheel.record[path].sha256, lambda path=path: bytes(wheel.data(path)))  # type: ignore[misc]
        for path in paths
    }


def _is_source(path: str) -> bool:
    return path.split("/")[0] not in _NOT_SOURCE


def _split(data: bytes | None) -> list[str]:
    """Lines with their ends, which are line feeds alone: a form feed or U+2028 is part of a line, as it is for Python."""
    *lines, rest = (data or b"").decode().split("\n")
    return [f"{line}\n" for line in lines] + [rest] * bool(rest)


def _lines(old: list[str], new: list[str]) -> Iterator[DifferentLine]:
    for group in difflib.SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT_LINES):
        spans = (group[0][1], group[-1][2]), (group[0][3], group[-1][4])
        yield DifferentLine("hunk", "@@ -{} +{} @@".format(*(_range(*span) for span in spans)))
        for kind, i, i_end, j, j_end in group:
            if kind == "equal":
                for at in range(i, i_end):
                    yield from _line("same", old[at], at + 1, at - i + j + 1)
                continue
            for at in range(i, i_end):
                yield from _line("removed", old[at], at + 1, None)
            for at in range(j, j_end):
                yield from _line("added", new[at], None, at + 1)


def _line(kind: str, text: str, before: int | None, after: int | None) -> Iterator[DifferentLine]:
    yield DifferentLine(kind, text.removesuffix("\n"), before, after)
    if not text.endswith("\n"):
        yield DifferentLine("note", "\\ No newline at end of file")


def _range(begin: int, end: int) -> str:
    """As `diff -u` writes it: from 1 on, the length only where it is not one, and of no line the one before."""
    length = end - begin
    return f"{begin + 1}" if length == 1 else f"{begin + 1 if length else begin},{length}"
