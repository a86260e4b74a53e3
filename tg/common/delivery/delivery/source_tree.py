"""The source tree: which files are `tg/`, from which folders, and which of them travel.

`tg` is a namespace package: several folders of that name can be one package (`tg/common` from where pip put it,
`tg/mylibrary` from the project). The tree is found from this module's own name, so the same code finds `UID.tg` when
it runs inside a delivered package. Nothing outside those folders travels, also not through a symbolic link.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import UndeliverableSource
from .ignoring import FILE_NAME, IgnoreRules, is_dropping

__all__ = ["SourceFile", "SourceTree", "local_root"]


@dataclass(frozen=True)
class SourceFile:
    """A file that travels: its path below the root (with `/`), where it lies, and in which portion."""

    path: str
    location: str
    portion: Path


@dataclass(frozen=True)
class SourceTree:
    """The files that travel, sorted by path, and what was left out for a reason that the user should hear."""

    root: str
    portions: tuple[Path, ...]
    files: tuple[SourceFile, ...]
    warnings: tuple[str, ...]

    @classmethod
    def local(cls) -> SourceTree:
        """The tree that this module is part of. Raises `UndeliverableSource` when it cannot be told what is in it."""
        root = local_root()
        portions = _portions(root)
        warnings: list[str] = []
        problems: list[str] = []
        files: dict[str, SourceFile] = {}
        twice: dict[tuple[Path, Path], list[str]] = {}
        for portion in portions:
            for file in _Walk(portion, warnings, problems).files("", str(portion), IgnoreRules(), ()):
                other = files.setdefault(file.path, file)
                if other is not file:
                    twice.setdefault((other.portion, portion), []).append(file.path)
        for (first, second), paths in twice.items():
            more = f" and {len(paths) - 1} more files are" if len(paths) > 1 else " is"
            problems.append(
                f"{paths[0]}{more} both in {first} and in {second}, and which one is meant cannot be told. Remove one, or take "
                f"one of the folders off sys.path."
            )
        if problems:
            raise UndeliverableSource("source tree cannot be delivered", problems)
        return cls(root, portions, tuple(files[path] for path in sorted(files)), tuple(warnings))

    def module_files(self) -> dict[str, SourceFile]:
        """The Python modules of the tree by their dotted name below the root; the root itself is the empty name."""
        modules: dict[str, SourceFile] = {}
        for file in self.files:
            if file.path.endswith(".py"):
                name = file.path[:-3].replace("/", ".")
                if name == "__init__" or name.endswith(".__init__"):
                    modules[name[: -len("__init__")].rstrip(".")] = file  # a package hides a module of its name
                else:
                    modules.setdefault(name, file)
        return modules


def local_root() -> str:
    """The name of the tree that this module is part of: `tg`, or `UID.tg` inside a delivered package."""
    return __name__[: -len(".common.delivery.delivery.source_tree")]


def _portions(root: str) -> tuple[Path, ...]:
    """The folders of the root package. Entries that are no folders (hooks of editable installs) have no files."""
    found: list[Path] = []
    for entry in sys.modules[root].__path__:
        if os.path.isdir(entry) and not any(os.path.samefile(entry, other) for other in found):
            found.append(Path(os.path.abspath(entry)))
    return tuple(found)


class _Walk:
    """One walk through one portion; it collects what it leaves out (`warnings`) and cannot read (`problems`)."""

    def __init__(self, portion: Path, warnings: list[str], problems: list[str]) -> None:
        self._portion = portion
        self._real = os.path.realpath(portion)
        self._warnings = warnings
        self._problems = problems

    def files(self, folder: str, location: str, rules: IgnoreRules, above: tuple[str, ...]) -> Iterator[SourceFile]:
        """`folder` is the path below the root; `above` are the real paths of the folders on the way, against cycles."""
        try:
            with os.scandir(location) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            self._problems.append(f"{location} cannot be read: {error.strerror}. Make it readable, or ignore it.")
            return
        if any(entry.name == FILE_NAME for entry in entries):
            try:
                rules = rules.with_file(Path(location, FILE_NAME).read_text(encoding="utf-8"), folder)
            except (OSError, UnicodeDecodeError) as error:
                self._problems.append(f"{location}/{FILE_NAME} cannot be read: {error}. It is a text file, in UTF-8.")
        above = (*above, os.path.realpath(location))
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = _is_folder(entry)
            if is_dropping(entry.name, is_folder=is_folder) or rules.ignores(path, is_folder=is_folder):
                continue
            if entry.is_symlink() and not self._may_follow(entry, above):
                continue
            if is_folder:
                yield from self.files(path, entry.path, rules, above)
            elif entry.is_file():
                if _is_storable(path):
                    yield SourceFile(path, entry.path, self._portion)
                else:
                    self._problems.append(f"{entry.path!r} has a name that not every system can store. Rename it.")
            elif not entry.is_symlink():
                kind = "socket" if stat.S_ISSOCK(entry.stat().st_mode) else "pipe or device"
                self._warnings.append(f"{entry.path} is a {kind} and will not be delivered.")

    def _may_follow(self, entry: os.DirEntry[str], above: tuple[str, ...]) -> bool:
        target = os.path.realpath(entry.path)
        if not os.path.exists(target):
            self._warnings.append(f"{entry.path} is a link to nothing ({target}) and will not be delivered.")
        elif target != self._real and not target.startswith(self._real + os.sep):
            self._warnings.append(
                f"{entry.path} is a link to {target}, which is outside tg/ and will not be delivered. Copy it into tg/ if "
                f"it is needed."
            )
        elif target in above:
            self._warnings.append(f"{entry.path} is a link to a folder that it lies in; it will not be delivered.")
        else:
            return True
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead to each other
        return False


def _is_storable(path: str) -> bool:
    name = path.rpartition("/")[2]
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return not any(character == "\\" or ord(character) < 32 for character in name)
