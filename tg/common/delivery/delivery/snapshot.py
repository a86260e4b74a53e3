"""A snapshot: the source tree's files as they are at one moment, relocated and hashed, and what was found out on the way.

What was found out about a file is kept in `Loc.cache` for as long as the file does not change, so delivering again after a
small change parses and hashes what has changed and nothing else. A file counts as unchanged while its size, times and
inode are the same; one that was changed just before it was read is looked at again, since a second change within one
tick of the clock would not show.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ...locations import Loc
from ..runtime.errors import UndeliverableSource
from ..runtime.whole_files import make_private_folder, write_whole
from .bytecode import compiled_modules
from .credentials import find_credentials
from .imports import Import, imports_in, parsed
from .newer_python import newer_features
from .opened_files import opened_paths
from .parsing import Place
from .relocation import may_need_relocation, relocate
from .source_text import edited
from .source_tree import SourceFile, SourceTree
from .syntax import SyntaxCheck

__all__ = ["Snapshot", "SnapshotFile"]

_FORMAT = 11


@dataclass
class _Facts:
    """What is known about one file, as long as it has this signature."""

    signature: list[int]
    sha256: str  # of what travels, that is after relocation
    edits: list[tuple[int, int, str]] = field(default_factory=list)  # that relocate it; bytes as Latin-1, for JSON
    unresolved: list[tuple[int, str]] = field(default_factory=list)
    error: Place | None = None  # of a module that does not parse
    checked: bool = True
    imports: list[list[Any]] | None = None  # filled in when the import closure comes by
    credentials: list[tuple[int, str]] = field(default_factory=list)  # lines, and what they look like
    opened: list[tuple[int, str]] = field(default_factory=list)  # with `imports`: lines, and paths of files
    newer: list[tuple[int, str, str]] = field(default_factory=list)  # with `imports`: lines, features, and their Python


@dataclass(frozen=True)
class SnapshotFile:
    """One file as it travels."""

    source: SourceFile
    data: bytes
    executable: bool
    facts: _Facts

    @property
    def path(self) -> str:
        """The path inside the package, with `/`; it begins with the root."""
        return self.source.path

    @property
    def sha256(self) -> str:
        """Of `data`, in hexadecimal digits."""
        return self.facts.sha256

    @property
    def credentials(self) -> list[tuple[int, str]]:
        """Lines, and what stands there, that look like a key or a token."""
        return [(line, what) for line, what in self.facts.credentials]

    @property
    def unresolved(self) -> list[tuple[int, str]]:
        """Lines, and what stands there, where a module is imported by a name made at run time."""
        return self.facts.unresolved

    def imports(self) -> list[Import]:
        """What the module imports. Raises `SyntaxError` when it does not parse."""
        if self.facts.imports is None:
            tree = parsed(self.data)
            found = imports_in(tree, self.data)
            self.facts.imports = [
                [item.line, item.level, item.module, item.name, item.optional, list(item.instead_of)] for item in found
            ]
            self.facts.opened = list(opened_paths(tree))
            self.facts.newer = list(newer_features(tree, self.data))
        return [
            Import(line, level, module, name, optional, tuple(instead_of))
            for line, level, module, name, optional, instead_of in self.facts.imports
        ]

    def opened(self) -> list[tuple[int, str]]:
        """Lines, and literal paths of files that are opened there; of a module whose imports were asked for."""
        return [(line, path) for line, path in self.facts.opened]

    def newer(self) -> list[tuple[int, str, str]]:
        """Lines, what stands there, and the Python that it needs, where newer than 3.10; as the former."""
        return [(line, what, python) for line, what, python in self.facts.newer]


class Snapshot:
    """All files of a tree as they travel, sorted by path. A context manager, for the time of the syntax check."""

    def __init__(self, tree: SourceTree) -> None:
        self.tree = tree
        self._cache = _Cache(tree)
        modules = [file.location for file in tree.files if file.path.endswith(".py") and file.made is None]
        new = [location for location in modules if not self._cache.has(location)]
        self._compiled = compiled_modules(new)
        self._check = SyntaxCheck([location for location in new if location not in self._compiled])
        try:
            names = tree.roots.imported, tree.distributions
            files = [_read(file, *names, self._cache) for file in tree.files]
        except BaseException:
            self._check.__exit__()
            raise
        files += _root_packages(tree)
        self.files = tuple(sorted(files, key=lambda file: file.path))
        self.by_path = {file.path: file for file in self.files}

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exception: object) -> None:
        self._check.__exit__(*exception)

    def check_syntax(self) -> list[tuple[SnapshotFile, Place]]:
        """The modules that do not parse, with the place of the first error in each."""
        for file in self.files:
            is_known = file.source.location in self._compiled or file.source.made is not None
            file.facts.checked = file.facts.checked or is_known
        new = {file.source.location: file for file in self.files if not file.facts.checked}
        errors = self._check.errors({location: file.data for location, file in new.items()})
        for location, file in new.items():
            file.facts.error = errors[location]
            file.facts.checked = True
        return [(file, file.facts.error) for file in self.files if file.facts.error is not None]

    def remember(self) -> None:
        """Keep what was found out for the next time. Without a place to write it, the next time finds it out again."""
        self._cache.write(
            {file.source.location: file.facts for file in self.files if file.facts.checked and file.source.made is None}
        )

    def digest(self) -> str:
        """SHA-256 of all paths and contents, in hexadecimal digits."""
        lines = (f"{file.sha256} {'x' if file.executable else '-'} {file.path}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _root_packages(tree: SourceTree) -> Iterator[SnapshotFile]:
    """The empty `__init__.py` that makes a delivered root one package, which no stray folder of its name can join."""
    firsts = {file.path.partition("/")[0]: file for file in reversed(tree.files)}
    there = {file.path for file in tree.files}
    for root in tree.roots.names:
        path = f"{root}/__init__.py"
        if root in firsts and path not in there:
            portion = firsts[root].portion
            source = SourceFile(path, str(portion / "__init__.py"), portion)
            yield SnapshotFile(source, b"", False, _Facts([], hashlib.sha256(b"").hexdigest()))


def _read(file: SourceFile, roots: Sequence[str], distributions: Sequence[str], cache: _Cache) -> SnapshotFile:
    if file.made is not None:
        data, made = _look_at(file, roots, distributions, file.made, [])
        made.credentials = find_credentials(file.made)
        return SnapshotFile(file, data, False, made)
    started = time.time_ns()
    try:
        descriptor = os.open(file.location, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        message = f"{file.location} cannot be read: {error.strerror}. Make it readable, or name it in .deliveryignore."
        raise UndeliverableSource("source tree", [message]) from error
    try:
        while True:
            status = os.fstat(descriptor)
            data = _read_all(descriptor, status.st_size)
            after = os.fstat(descriptor)
            if (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns) and len(
                data
            ) == after.st_size:
                break
            os.lseek(descriptor, 0, os.SEEK_SET)  # somebody is writing it: read again
    finally:
        os.close(descriptor)
    signature = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
    facts = cache.known(file.location, signature)
    if facts is None:
        credentials = find_credentials(data)
        data, facts = _look_at(file, roots, distributions, data, signature)
        facts.credentials = credentials
        # A coarse clock (FAT, NFS, HFS+) shows by whole seconds.
        slack = 100_000_000 if status.st_mtime_ns % 1_000_000_000 else 2_000_000_000
        if max(status.st_mtime_ns, status.st_ctime_ns) > started - slack:
            facts.signature = []
    elif facts.edits:
        data = edited(data, [(start, end, text.encode("latin-1")) for start, end, text in facts.edits])
    return SnapshotFile(file, data, bool(status.st_mode & 0o100), facts)


def _read_all(descriptor: int, size: int) -> bytes:
    parts = [os.read(descriptor, size + 1)]
    while parts[-1] and (len(parts) > 1 or len(parts[0]) != size):
        parts.append(os.read(descriptor, 1 << 20))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _look_at(
    file: SourceFile, roots: Sequence[str], distributions: Sequence[str], data: bytes, signature: list[int]
) -> tuple[bytes, _Facts]:
    if not file.path.endswith(".py"):
        return data, _Facts(signature, hashlib.sha256(data).hexdigest())
    if not may_need_relocation(data, roots, file.path, distributions):
        return data, _Facts(signature, hashlib.sha256(data).hexdigest(), checked=not data)
    try:
        relocated = relocate(data, roots, file.path, distributions)
    except (SyntaxError, ValueError):  # ValueError: null bytes, before Python 3.12
        return data, _Facts(signature, hashlib.sha256(data).hexdigest(), checked=False)
    facts = _Facts(
        signature,
        hashlib.sha256(relocated.source).hexdigest(),
        edits=[(start, end, text.decode("latin-1")) for start, end, text in relocated.edits],
        unresolved=list(relocated.unresolved),
        checked=False,
    )
    return relocated.source, facts


class _Cache:
    """The file in `Loc.cache` for these portions and this Python; anything unreadable in it is as if it were not there."""

    def __init__(self, tree: SourceTree) -> None:
        python = f"{sys.implementation.cache_tag}-{_FORMAT}"
        key = "\n".join([python, *tree.roots.imported, "", *tree.distributions, "", *map(str, tree.portions)])
        self._path = Loc.cache / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.json"
        self._read: dict[str, Any] = {}
        try:
            self._read = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return
        if not isinstance(self._read, dict):
            self._read = {}

    def has(self, location: str) -> bool:
        """Whether anything at all is known of a file, be it as it is now or as it was."""
        return location in self._read

    def known(self, location: str, signature: list[int]) -> _Facts | None:
        try:
            facts = _Facts(*self._read[location])
        except (KeyError, TypeError):  # unknown, or written by something else
            return None
        return facts if facts.signature == signature else None

    def write(self, facts: dict[str, _Facts]) -> None:
        entries = {location: list(self._entry(known)) for location, known in facts.items() if known.signature}
        if entries == self._read:
            return
        text = json.dumps(entries, separators=(",", ":")).encode()
        with suppress(OSError):  # no place to write it
            make_private_folder(self._path.parent)
            write_whole(self._path, lambda file: file.write(text))

    @staticmethod
    def _entry(facts: _Facts) -> Iterator[Any]:
        yield facts.signature
        yield facts.sha256
        yield [list(edit) for edit in facts.edits]
        yield [list(place) for place in facts.unresolved]
        yield list(facts.error) if facts.error else None
        yield facts.checked
        yield facts.imports
        yield [list(place) for place in facts.credentials]
        yield [list(place) for place in facts.opened]
        yield [list(place) for place in facts.newer]
