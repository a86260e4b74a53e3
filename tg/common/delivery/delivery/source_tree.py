"""The source tree: which files the roots have, in which folders, and which of them travel.

`tg` is a namespace package: several folders of that name can be one package (`tg/common` from where pip put it,
`tg/mylibrary` from the project). Any other root can be one as well, or a package as most are, or a single module. Roots
are found as importing finds them, without importing them. Nothing outside those folders travels, also not through a
symbolic link, but for those that installers make of a root's files.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import find_spec
from pathlib import Path

from ..runtime.errors import UndeliverableSource
from ..runtime.roots import MAIN, Roots
from .ignoring import FILE_NAME, IgnoreRules, is_dropping
from .root_distributions import distributions_in, distributions_of, metadata_files, missing_files
from .shared_library import LIBRARY_NAME, foreign_machine
from .zipped_roots import unpacked

__all__ = ["SourceFile", "SourceTree", "portions_of"]

_EXTENSION = re.compile(r"\.((?:abi3|cpython|cp[0-9]|pypy|graalpy)[^.]*)\.(?:so|pyd)\Z")
"""How the names of extension modules end that say which Python they are for (PEP 3149)."""


@dataclass(frozen=True)
class SourceFile:
    """A file that travels: its path, which begins with its root (`tg/a.py`), where it lies, and in which portion.

    `made` is what is in it where it is made, and lies nowhere; `places` then says of each of its lines where it is from.
    """

    path: str
    location: str
    portion: Path
    made: bytes | None = None
    places: tuple[str, ...] = ()

    def place(self, line: int) -> str:
        """A line of it as messages name it."""
        return self.places[line - 1] if 0 < line <= len(self.places) else f"{self.location}:{line}"


@dataclass(frozen=True)
class SourceTree:
    """The files that travel, sorted by path, and what was left out for a reason that the user should hear."""

    roots: Roots
    portions: tuple[Path, ...]
    files: tuple[SourceFile, ...]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, roots: Roots, portions: Mapping[str, tuple[Path, ...]], made: Iterable[SourceFile] = ()) -> SourceTree:
        """The files of these roots, in their `portions_of`, and those that are `made`.

        Raises `UndeliverableSource` when it cannot be told what is in one of the roots.
        """
        warnings: list[str] = []
        problems: list[str] = []
        files: dict[str, SourceFile] = {}
        twice: dict[tuple[Path, Path], list[str]] = {}
        for root in roots.names:
            for portion in portions[root]:
                for file in _Walk(root, portion, warnings, problems).all_files():
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
        files.update({file.path: file for file in made})
        distributions = distributions_of(roots, portions)
        for path, location, folder in metadata_files(roots, distributions):
            files[path] = SourceFile(path, location, folder)
        warnings += missing_files(distributions, portions)
        folders = tuple(folder for root in roots.names for folder in portions[root])
        return cls(roots, folders, tuple(files[path] for path in sorted(files)), tuple(warnings))

    @cached_property
    def distributions(self) -> tuple[str, ...]:
        """The normalised names of the distributions that roots are from, as far as there are any."""
        return distributions_in(file.path for file in self.files)

    def module_files(self) -> dict[str, SourceFile]:
        """The Python modules of the tree by the dotted names that they have inside a package."""
        modules: dict[str, SourceFile] = {}
        for file in self.files:
            if file.path.endswith(".py"):
                name = file.path[:-3].replace("/", ".")
                if name.endswith(".__init__"):
                    modules[name[: -len(".__init__")]] = file  # a package hides a module of its name
                else:
                    modules.setdefault(name, file)
        return modules


def portions_of(roots: Roots) -> dict[str, tuple[Path, ...]]:
    """The folders of each root, or its file where it is a single module; what is run has none.

    Raises `UndeliverableSource` for any other that has none.
    """
    here = {root: roots.here(root) for root in roots.names}
    found = {root: tuple(_portions(module)) if module != MAIN else () for root, module in here.items()}
    problems = [_nothing_of(root, here[root]) for root in roots.names if not found[root] and here[root] != MAIN]
    if problems:
        raise UndeliverableSource("source tree cannot be delivered", problems)
    return found


def _portions(module: str) -> list[Path]:
    """What is in a zip file or an egg is unpacked. Other entries that are no folders (hooks of editable installs) have no files."""
    loaded = sys.modules.get(module)
    spec = _spec_of(module) if loaded is None else getattr(loaded, "__spec__", None)
    entries = list(getattr(loaded, "__path__", ()) or (spec and spec.submodule_search_locations) or ())
    if not entries and spec is not None and spec.has_location and spec.origin:
        file = unpacked(spec.origin) or Path(os.path.abspath(spec.origin))
        return [file] if file.name.endswith((".py", *EXTENSION_SUFFIXES)) and file.is_file() else []
    found: list[Path] = []
    for entry in entries:
        folder = entry if os.path.isdir(entry) else unpacked(entry)
        if folder is not None and not any(os.path.samefile(folder, other) for other in found):
            found.append(Path(os.path.abspath(folder)))
    return found


def _spec_of(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except (ImportError, ValueError):
        return None


def _nothing_of(root: str, module: str) -> str:
    spec = _spec_of(module)
    if spec is None:
        return f"root {root!r} cannot be imported here, so there is nothing to deliver. Put its folder's parent on sys.path."
    where = spec.origin or ", ".join(spec.submodule_search_locations or ())
    return (
        f"root {root!r} is neither a folder, nor a module in a file or a zip file, but {where}. Put its source on sys.path, or "
        f"declare it as a dependency."
    )


class _Walk:
    """One walk through one portion; it collects what it leaves out (`warnings`) and cannot read (`problems`)."""

    def __init__(self, root: str, portion: Path, warnings: list[str], problems: list[str]) -> None:
        self._root = root
        self._portion = portion
        self._real = os.path.realpath(portion)
        self._warnings = warnings
        self._problems = problems
        self._foreign: dict[tuple[str, bool], list[str]] = {}

    def all_files(self) -> Iterator[SourceFile]:
        """The files of the portion; of a single module there is one."""
        if self._portion.is_file():
            suffix = self._portion.name[self._portion.name.index(".") :]
            yield SourceFile(f"{self._root}{suffix}", str(self._portion), self._portion)
            return
        yield from self._files("", str(self._portion), IgnoreRules(), ())
        here = f"this is {sys.implementation.cache_tag} on {sysconfig.get_platform()}"
        for (whose, travels), locations in self._foreign.items():
            more = f" and {len(locations) - 1} more compiled files are" if len(locations) > 1 else " is"
            what = "will travel all the same, as data" if travels else "will not be delivered"
            self._warnings.append(
                f"{locations[0]}{more} for {whose}, and {what}: {here}. Make the package there for those who are to load it."
            )

    def _files(self, folder: str, location: str, rules: IgnoreRules, above: tuple[str, ...]) -> Iterator[SourceFile]:
        """`folder` is the path below the root; `above` are the real paths of the folders on the way, against cycles."""
        try:
            with os.scandir(location) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            self._problems.append(f"{location} cannot be read: {error.strerror}. Make it readable, or ignore it.")
            return
        if any(entry.name == FILE_NAME for entry in entries):
            try:
                rules = rules.with_file(Path(location, FILE_NAME).read_text(encoding="utf-8-sig"), folder)
            except (OSError, UnicodeDecodeError) as error:
                self._problems.append(f"{location}/{FILE_NAME} cannot be read: {error}. It is a text file, in UTF-8.")
        above = (*above, os.path.realpath(location))
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            is_folder = _is_folder(entry)
            if is_dropping(entry.name, is_folder=is_folder) or rules.ignores(path, is_folder=is_folder):
                continue
            if entry.is_symlink() and not self._may_follow(entry, path, above):
                continue
            if is_folder:
                yield from self._files(path, entry.path, rules, above)
            elif entry.is_file():
                python = _other_python(entry.name)
                whose = python or _other_machine(entry)
                if whose is not None:
                    self._foreign.setdefault((whose, python is None), []).append(entry.path)
                if python is not None:
                    continue
                if _is_storable(path):
                    yield SourceFile(f"{self._root}/{path}", entry.path, self._portion)
                else:
                    self._problems.append(f"{entry.path!r} has a name that not every system can store. Rename it.")
            elif not entry.is_symlink():
                kind = "socket" if stat.S_ISSOCK(entry.stat().st_mode) else "pipe or device"
                self._warnings.append(f"{entry.path} is a {kind} and will not be delivered.")

    def _may_follow(self, entry: os.DirEntry[str], path: str, above: tuple[str, ...]) -> bool:
        target = os.path.realpath(entry.path)
        # Installers that link (strict editable installs of setuptools, `uv --link-mode symlink`) make a tree of links to files
        # that have the same place in the root's own folder.
        if target.endswith(f"{os.sep}{self._root}{os.sep}{path}") and os.path.isfile(target):
            return True
        if not os.path.exists(target):
            self._warnings.append(f"{entry.path} is a link to nothing ({target}) and will not be delivered.")
        elif target != self._real and not target.startswith(self._real + os.sep):
            self._warnings.append(
                f"{entry.path} is a link to {target}, which is outside {self._root}/ and will not be delivered. Copy it into "
                f"{self._root}/ if it is needed."
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


def _other_python(name: str) -> str | None:
    """Which other Python an extension module is for, by its name: this one does not see it, and will not where it lands."""
    tag = _EXTENSION.search(name)
    return tag[1] if tag is not None and tag[0] not in EXTENSION_SUFFIXES else None


def _other_machine(entry: os.DirEntry[str]) -> str | None:
    """For which other system or machine a library is."""
    if not LIBRARY_NAME.search(entry.name):
        return None
    try:
        with open(entry.path, "rb") as file:
            return foreign_machine(file.read(20))
    except OSError:  # told when it is read as a whole
        return None


def _is_storable(path: str) -> bool:
    name = path.rpartition("/")[2]
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return not any(character == "\\" or ord(character) < 32 for character in name)
