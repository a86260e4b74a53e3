"""The compiled code of a source tree: extension modules and shared libraries, and what of them fails under another name.

Source is relocated, compiled code travels as it is. An extension module itself does not mind: Python finds its init function
by the last part of the name. Three things are compiled in:

1. Absolute imports. `PyImport_ImportModule("mycompany.x")` finds nothing where the package lands. A text between two zero
   bytes that is the name of a module of the tree is taken for one.
2. Names of classes (`tp_name`), and of the module itself. They say `mycompany.fast.Point` there as well, so objects of such a
   class cannot be pickled there; and a module of Cython enters itself into `sys.modules` by the name it was compiled with.
3. The place of libraries beside the root (`$ORIGIN/../mycompany.libs`), which do not travel.

Cython since 3.1 keeps its texts in one piece without borders, since 3.2 packed as well, and what it looks up absolutely and
relatively looks the same in it; texts of Rust have no borders either. What is found there is a guess, and is told as one.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES

from ..runtime.roots import Roots
from .shared_library import LIBRARY_NAME, SharedLibrary, foreign_machine
from .snapshot import Snapshot, SnapshotFile
from .wheel_tag import PURE, WheelTag

__all__ = ["CompiledCode", "CompiledFile"]

_CYTHON = b"__pyx_"
_MYPYC = b"__mypyc\0"
_GENERATED = _CYTHON, b"CPyStatic", _MYPYC, b"pyo3"
"""What code has that Cython or mypyc has generated, or that is of Rust: its texts are no texts of C."""
_UNPACKED_BYTES = 16 * 1024 * 1024
_LONGEST_NAME = 256
_NAMES_SHOWN = 3
_FILES_SHOWN = 3
"""Of how many files of a root the same is told: of numpy it would be thirty lines, and what to do is the same for all."""


@dataclass(frozen=True)
class CompiledFile:
    """An extension module, with the dotted name that it has in the package; or a shared library, which has none."""

    file: SnapshotFile
    module: str | None
    is_stable: bool = False
    """It uses the stable ABI."""

    @cached_property
    def library(self) -> SharedLibrary:
        return SharedLibrary.of(self.file.data)

    @property
    def location(self) -> str:
        return self.file.source.location


@dataclass(frozen=True)
class CompiledCode:
    """All compiled files of a package; most packages have none."""

    files: tuple[CompiledFile, ...]
    modules: frozenset[str]
    """The dotted names of all modules of the tree, compiled or not."""
    roots: Roots

    @classmethod
    def of(cls, snapshot: Snapshot) -> CompiledCode:
        """The compiled files among those that travel."""
        files = tuple(one for file in snapshot.files if (one := _compiled(file)) is not None)
        modules = {*snapshot.tree.module_files(), *(one.module for one in files if one.module)} if files else ()
        return cls(files, frozenset(modules), snapshot.tree.roots)

    @property
    def tag(self) -> WheelTag:
        """What a package with these files is for."""
        if not self.files:
            return PURE
        extensions = [one for one in self.files if one.module is not None]
        return WheelTag.of_compiled(
            extensions=len(extensions), stable=len([one for one in extensions if one.is_stable])
        )

    def problems(self, needed: frozenset[str]) -> Iterator[str]:
        """What will fail in those that the payload needs, `needed` being the names of modules in the import closure."""
        yield from _of_some(
            (one, text)
            for one in self.files
            if one.module in needed
            for text in self._failing(one, "and the payload needs it")
        )

    def warnings(self, needed: frozenset[str], *, inferred: bool) -> Iterator[str]:
        """What may fail, and what will in those that the payload does not need, as far as can be seen.

        `inferred`: dependencies were to be found, which compiled code does not tell of.
        """
        unread = [one for one in self.files if inferred and one.module in needed]
        if unread:
            yield (
                f"{unread[0].location}{f' and {len(unread) - 1} more' if len(unread) > 1 else ''} is compiled, and what it imports cannot "
                f"be read. What it needs and no source imports, DependencyList.inferred(also=[...]) names."
            )
        yield from _of_some(
            (one, text)
            for one in self.files
            if one.module not in needed
            for text in self._failing(one, "It travels as it is; nothing that the payload is seen to need imports it")
        )
        yield from _of_some(
            (
                one,
                f"{one.location} has the names {_listed(guessed)} compiled in. Where the package lands no module has them; if it "
                f"imports by them, it fails, or gets those that are loaded under that name. {self._remedy(one)}",
            )
            for one in self.files
            if (guessed := sorted(self._guessed(one) - self._names(one)))
        )
        yield from self._carried_names()
        yield from self._shared_between_versions()

    def _carried_names(self) -> Iterator[str]:
        """One warning for all that have them: most extension modules do, and most payloads do not mind."""
        carrying = [(one, name) for one in self.files for name in sorted(self._names(one) - self.modules)[:1]]
        if carrying:
            first, name = carrying[0]
            yield (
                f"{first.location}{_and_more(len(carrying))} what it has by names such as {name}, where the package lands too: objects "
                f"of such classes cannot be pickled there, as a result or for another process. {self._remedy(first, 'Have such a result hold plain values')}"
            )
        entering = [one for one in self.files if one.module in self._names(one) and _CYTHON in one.file.data]
        if entering:
            yield (
                f"{entering[0].location} enters itself into sys.modules as {entering[0].module} as well, where nothing has that name yet: "
                f"a module that Cython has made{_so_do(len(entering))}. A program that uses the package and {entering[0].module} itself has "
                f"to import the latter first."
            )

    def _failing(self, one: CompiledFile, which: str) -> Iterator[str]:
        which = f", {which}." if which.startswith("and") else f". {which}."
        imported = sorted((self._names(one) & self.modules) - {one.module})
        if imported:
            yield (
                f"{one.location} is compiled with the absolute name{'s' * (len(imported) > 1)} {_listed(imported)}, which no module "
                f"has where the package lands{which} {self._remedy(one)}"
            )
        for name in _modules_of_mypyc(one.file.data) if one.module else ():
            yield (
                f"{one.location} needs the module {name}, which mypyc has put beside the root, and which will not be "
                f"delivered{which} {self._remedy(one, 'Deliver the source that it was made of')}"
            )
        for needed, place in self._libraries(one):
            if not self._travels(place):
                root = one.file.path.partition("/")[0]
                yield (
                    f"{one.location} needs {needed}, which is {place}, outside of {root}/, and will not be delivered{which} "
                    f"{self._remedy(one, 'Build it with that library inside of the root')}"
                )

    def _remedy(self, one: CompiledFile, instead: str = "Build it with relative imports") -> str:
        root = one.file.path.partition("/")[0]
        if root == "tg":  # it travels in any case
            return f"{instead}, or make a distribution of it, and declare that as a dependency."
        return f"{instead}, or declare the distribution of {root} as a dependency and leave {root!r} out of roots."

    def _names(self, one: CompiledFile) -> frozenset[str]:
        """Texts of C that are dotted names below a root: of modules, or of what is in them."""
        return self._all_names.get(one.file.path, frozenset())

    @cached_property
    def _all_names(self) -> Mapping[str, frozenset[str]]:
        """Of each extension module, by its path. What comes before a name is looked at last: so it takes a hundredth of the time."""
        found: dict[str, frozenset[str]] = {}
        for one in self.files:
            if one.module is not None:
                data = one.file.data
                matches = (
                    match
                    for root in self.roots.names
                    for match in re.finditer(rb"%b(?:\.[A-Za-z_][A-Za-z0-9_]*)+\0" % re.escape(root.encode()), data)
                )
                texts = {match[0][:-1].decode() for match in matches if not _is_printable(data, match.start() - 1)}
                found[one.file.path] = frozenset(text for text in texts if self._has(text))
        return found

    def _has(self, name: str) -> bool:
        """Whether a dotted name is that of a module of the tree, or of something in one."""
        while name and name not in self.modules:
            name = name.rpartition(".")[0]
        return bool(name)

    def _guessed(self, one: CompiledFile) -> set[str]:
        """Names of other modules that stand somewhere in code whose texts have no ends."""
        if one.module is None or not any(mark in one.file.data for mark in _GENERATED):
            return set()
        found = set()
        for text in (one.file.data, *_unpacked(one.file.data)):
            for root in self.roots.names:
                for match in re.finditer(rb"%b\.(?=[A-Za-z_])" % re.escape(root.encode()), text):
                    name = text[match.start() : match.start() + _LONGEST_NAME].decode("latin-1")
                    # Texts may run into each other, so the name ends where a module's does.
                    ends = (name[:end] for end in range(len(name), len(root) + 1, -1))
                    module = next((name for name in ends if name in self.modules), None)
                    if module is not None and not f"{one.module}.".startswith(f"{module}."):
                        found.add(module)
        return found

    def _libraries(self, one: CompiledFile) -> Iterator[tuple[str, str]]:
        """The libraries that a file needs and finds beside itself (`$ORIGIN`): as it names them, and where they are."""
        folder = os.path.dirname(os.path.realpath(one.location))
        own = [path for path in one.library.search_path if path.startswith(("$ORIGIN", "${ORIGIN}"))]
        for name in one.library.needed:
            places = (re.sub(r"^\$(?:ORIGIN|\{ORIGIN\})", lambda _: folder, path) for path in own)
            there = next(
                (place for path in places if os.path.isfile(place := os.path.normpath(f"{path}/{name}"))), None
            )
            if there is not None:
                yield name, there

    def _travels(self, place: str) -> bool:
        return os.path.realpath(place) in self._real_places

    @cached_property
    def _real_places(self) -> Mapping[str, str]:
        return {os.path.realpath(one.location): one.file.path for one in self.files}

    def _shared_between_versions(self) -> Iterator[str]:
        shared = {
            os.path.realpath(place): name
            for one in self.files
            for name, place in self._libraries(one)
            if self._travels(place)
        }
        for place, name in sorted(shared.items()):
            yield (
                f"{place} is linked to by its name, {name}. A process has one library of a name: the first version that is loaded "
                f"brings it for all others. Give it another name when it changes, or link it statically."
            )


def _compiled(file: SnapshotFile) -> CompiledFile | None:
    folder, _, name = file.path.rpartition("/")
    if not LIBRARY_NAME.search(name) or foreign_machine(file.data[:20]) is not None or not _is_binary(file.data):
        return None
    suffix = next((one for one in sorted(EXTENSION_SUFFIXES, key=len, reverse=True) if name.endswith(one)), None)
    stem = name[: -len(suffix)] if suffix else ""
    module = ".".join([*folder.split("/"), stem] if folder else [stem]).removesuffix(".__init__")
    if suffix is None or not stem.isidentifier() or (suffix.count(".") == 1 and not _has_init(file.data, module)):
        return CompiledFile(file, None)
    return CompiledFile(file, module, suffix.startswith(".abi3."))


def _is_binary(data: bytes) -> bool:
    """A text that tells a linker where a library is, has the name of one as well."""
    return b"\0" in data[:64]


def _has_init(data: bytes, module: str) -> bool:
    return b"PyInit_%b\0" % module.rpartition(".")[2].encode() in data


def _is_printable(data: bytes, position: int) -> bool:
    return position >= 0 and 32 <= data[position] < 127


def _modules_of_mypyc(data: bytes) -> list[str]:
    """The modules with the code of several others, that mypyc makes: each of those is found by an absolute name."""
    return sorted({name.decode() for name in re.findall(rb"\0([a-z0-9_]+__mypyc)\0", data)}) if _MYPYC in data else []


def _unpacked(data: bytes) -> Iterator[bytes]:
    """What Cython has packed: zlib or bz2, wherever it begins."""
    import bz2

    whole = memoryview(data)
    for match in re.finditer(rb"x[\x01\x5e\x9c\xda]|BZh[1-9]1AY", data):
        unpacker = zlib.decompressobj() if match[0][:1] == b"x" else bz2.BZ2Decompressor()
        try:
            text = unpacker.decompress(whole[match.start() : match.start() + _UNPACKED_BYTES], _UNPACKED_BYTES)
        except (zlib.error, OSError, ValueError):
            continue
        if unpacker.eof:
            yield text


def _of_some(told: Iterable[tuple[CompiledFile, str]]) -> Iterator[str]:
    """What is told of files, a sentence each; where they are many of one root, of the first ones, and how many more there are."""
    by_root: dict[str, dict[str, list[str]]] = {}
    for one, text in told:
        by_root.setdefault(one.file.path.partition("/")[0], {}).setdefault(one.location, []).append(text)
    for root, by_file in by_root.items():
        *shown, last = [text for texts in [*by_file.values()][:_FILES_SHOWN] for text in texts]
        more = len(by_file) - _FILES_SHOWN
        yield from shown
        yield f"{last} So it is with {more} more compiled file{'s' * (more > 1)} of {root}." if more > 0 else last


def _and_more(count: int) -> str:
    return f" and {count - 1} more compiled modules call" if count > 1 else " calls"


def _so_do(count: int) -> str:
    return f", as {count - 1} more are" if count > 1 else ""


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
