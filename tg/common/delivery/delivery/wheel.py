"""The package file: a wheel (PEP 427) in a sealed archive, the same bytes for the same input.

RECORD has the SHA-256 of every file; the archive's seal speaks for all that lies between them, headers, names and order.
So a changed byte anywhere shows. A wheel that was repacked is still one for pip, but has no seal and is refused here.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import mmap
import os
import re
import stat
import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from ...locations import Loc
from ...progress import working
from ..runtime.errors import IncompatiblePackage, PackageRejected
from ..runtime.whole_files import make_private_folder, sweep_unfinished, write_whole
from .archive import BIG_BYTES, ENVELOPE_FILE, RECORD_FILE, Archive, ArchiveError, write_archive
from .digests import Digests
from .facts import PackageFacts
from .wheel_tag import PURE, WheelTag

__all__ = [
    "ENVELOPE_FILE",
    "METADATA_FILES",
    "RECORD_FILE",
    "Member",
    "RecordedFile",
    "WheelReader",
    "same_place",
    "wheel_file_name",
    "write_wheel",
]

METADATA_FILES = ("METADATA", "WHEEL", ENVELOPE_FILE, RECORD_FILE)
"""All that the folder `.dist-info` of a package may hold: what else pip knows would run something, or write elsewhere."""

_CHUNK_BYTES = 256 * 1024
_END_BYTES = 22 + 0xFFFF  # the end of a zip file with the longest comment
_EXPLAINED_BYTES = 4 * 1024 * 1024
_MOST_FOLDERS = 100
_QUOTE = '"'
_NEEDS_QUOTES = re.compile('[",\\s]')
_UNSAFE = re.compile(r"(?:^|/)(?:\.{0,2})(?:/|$)|\\|^[A-Za-z]:|[\x00-\x1f]")


@dataclass(frozen=True)
class Member:
    """A file of the wheel: its path, its bytes and their digests."""

    path: str
    data: bytes | memoryview
    digests: Digests
    executable: bool = False

    @classmethod
    def of(cls, path: str, data: bytes) -> Member:
        """A member whose digests are not known yet."""
        return cls(path, data, Digests.of(data))


@dataclass(frozen=True)
class RecordedFile:
    """A line of RECORD."""

    path: str
    sha256: str
    size: int

    def __str__(self) -> str:
        encoded = base64.urlsafe_b64encode(bytes.fromhex(self.sha256)).rstrip(b"=").decode()
        path = f'"{self.path.replace(_QUOTE, 2 * _QUOTE)}"' if _NEEDS_QUOTES.search(self.path) else self.path
        return f"{path},sha256={encoded},{self.size}\n"

    @classmethod
    def parse_all(cls, text: str) -> dict[str, RecordedFile]:
        """All lines of a RECORD that have a hash, by path. Raises `ValueError` for what is no RECORD."""
        found = {}
        try:
            rows = list(csv.reader(io.StringIO(text)))
        except csv.Error as error:  # a field that is longer than one may be, or null bytes before Python 3.11
            raise ValueError(str(error)) from error
        for path, encoded, size in rows:
            if encoded:
                algorithm, _, value = encoded.partition("=")
                if algorithm != "sha256":
                    raise ValueError(f"{path} is hashed with {algorithm}")
                digest = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
                found[path] = cls(path, digest, int(size))
        return found


def wheel_file_name(name: str, version: str, tag: WheelTag = PURE) -> str:
    """`example_job-0.0.0-py3-none-any.whl`; name and version are in their canonical form (PEP 427, file name convention)."""
    return f"{name}-{version}-{tag}.whl"


def same_place(path: str) -> str:
    """What two paths have in common that are one file on some systems: case, and how accents are written, do not count."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())


def write_wheel(
    path: Path,
    members: Sequence[Member],
    dist_info: str,
    metadata: Mapping[str, bytes],
    accept: Callable[[str, Path], None] | None = None,
) -> str:
    """Write a wheel and return its seal, in hexadecimal digits.

    `dist_info` is the folder `name-version.dist-info`, `metadata` the files in it but RECORD. The file appears
    whole; see `write_whole`. `accept` is called before, with the seal and the finished file under its temporary name. What it
    raises leaves no file; what it writes down is there for whoever finds the file, whenever this process may be killed.
    """
    listed = [*sorted(members, key=lambda member: member.path)]
    listed += [Member.of(f"{dist_info}/{name}", metadata[name]) for name in sorted(metadata)]
    record = "".join(str(RecordedFile(member.path, member.digests.sha256, len(member.data))) for member in listed)
    listed.append(Member.of(f"{dist_info}/RECORD", (record + f"{dist_info}/RECORD,,\n").encode()))
    if Loc.packages in path.parents:
        folder = Loc.packages  # each content has a folder of its own there, which nobody may come back to
        make_private_folder(folder)
    else:
        folder = path.parent
        folder.mkdir(parents=True, exist_ok=True)
    sweep_unfinished(folder)
    archived = [(one.path, one.data, one.digests.crc, one.executable) for one in listed]

    def write(file: BinaryIO) -> str:
        with working(f"writing {path.name}", sum(len(one.data) for one in listed)) as work:
            seal = write_archive(file, archived, work.advance)
        if accept is not None:
            file.flush()
            accept(seal, Path(file.name))
        make_private_folder(path.parent)  # only now, so that what is refused leaves none
        return seal

    return write_whole(path, write, unfinished_in=folder)


class WheelReader:
    """A package file, opened for reading: a context manager.

    Opening checks its form, its names, and that this delivery and this Python can take it. `check_seal` proves that
    nothing but the data of big members was changed, `check_hash` proves the rest while it is used.
    Raises `PackageRejected`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise PackageRejected(f"{path} cannot be opened: {error.strerror}.", path=path) from error
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        path = self.path
        if not stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            raise PackageRejected(f"{path} cannot be opened: it is no file.", path=path)
        try:
            self._archive = Archive.of_file(self._file.fileno())
        except ArchiveError as error:
            self._explain()
            raise self.rejected(f"{error}. Copy or deliver it again") from error
        except OSError as error:
            raise PackageRejected(f"{path} cannot be read: {error.strerror}.", path=path) from error
        self.members = self._archive.entries
        self._check_names(self.members)
        self.facts = self._read_facts()

    def __enter__(self) -> WheelReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()  # the mapping goes with the last view of it

    def data(self, member: str) -> memoryview:
        """The bytes of a member: a small one as it was when this was opened, a big one mapped, and so as it is when used."""
        entry = self.members[member]
        if not entry.is_big:
            return self._archive.data(member)
        return memoryview(self._mapping)[entry.data_offset : entry.data_offset + entry.size]

    @cached_property
    def _mapping(self) -> mmap.mmap:
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def chunks(self, member: str) -> Iterator[memoryview]:
        """The bytes of a member in pieces, each read once and good until the next is asked for."""
        entry = self.members[member]
        if not entry.is_big:
            yield self.data(member)
            return
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        self._file.seek(entry.data_offset)
        left = entry.size
        while left:
            got = self._file.readinto(buffer[:left])
            if not got:
                raise self.rejected(f"was cut while it was read: {member} is not all there", member=member)
            yield buffer[:got]
            left -= got

    def check_seal(self) -> str:
        """Hash what the seal covers. Returns the seal, in hexadecimal digits."""
        try:
            return self._archive.check_seal()
        except ArchiveError as error:
            raise self.rejected(f"{error}. Copy or deliver it again") from error

    @cached_property
    def record(self) -> dict[str, RecordedFile]:
        """RECORD, by path; it lists every member but itself, and nothing else."""
        path = f"{self.facts.dist_info}/RECORD"
        if path not in self.members:
            raise self.rejected(f"is no package: it has no {path}")
        try:
            record = RecordedFile.parse_all(str(self.data(path), "utf-8"))
        except ValueError as error:
            raise self.rejected(f"has a RECORD that cannot be read ({error})", member=path) from error
        odd = sorted(record.keys() ^ (self.members.keys() - {path}))
        if odd:
            raise self.rejected(f"has other members than its RECORD says, the first is {odd[0]}", member=odd[0])
        return record

    def check_hash(self, member: str, sha256: str) -> None:
        """Raise unless `sha256`, in hexadecimal digits, is what RECORD says of the member."""
        if self.record[member].sha256 != sha256:
            raise self.rejected(f"was altered after it was made: {member} is not what RECORD says", member=member)

    def rejected(self, why: str, *, member: str | None = None) -> PackageRejected:
        """The error for this file."""
        return PackageRejected(f"{self.path} {why}.", path=self.path, member=member)

    def _check_names(self, names: Iterable[str]) -> None:
        files = set(names)
        for name in files:
            if _UNSAFE.search(name):
                raise self.rejected(f"has a member that would leave its folder: {name!r}", member=name)
            if name.count("/") > _MOST_FOLDERS:  # whoever removes it goes down into each
                raise self.rejected(f"has a member more than {_MOST_FOLDERS} folders deep: {name[:100]}…", member=name)
        places: dict[str, str] = {}
        seen: set[str] = set()
        for name in sorted(files):
            folder = name.rpartition("/")[0]
            while folder and folder not in seen:
                seen.add(folder)
                if folder in files:
                    raise self.rejected(f"has a member that is a file and a folder: {folder!r}", member=folder)
                folder = folder.rpartition("/")[0]
            other = places.setdefault(same_place(name), name)
            if other != name:
                raise self.rejected(
                    f"has two members that are one file where case does not count: {other!r} and {name!r}", member=name
                )

    def _read_facts(self) -> PackageFacts:
        """The facts, from the one `package.json` there is."""
        paths = [path for path in self.members if path.count("/") == 1 and path.endswith("/package.json")]
        if len(paths) != 1:
            raise self.rejected("is no package: it has no package.json. make_package() makes one")
        if self.members[paths[0]].size >= BIG_BYTES:
            raise self.rejected(f"has a package.json of {self.members[paths[0]].size} bytes", member=paths[0])
        facts = self._parse_facts(bytes(self.data(paths[0])), paths[0])
        own = {f"{facts.dist_info}/{name}" for name in METADATA_FILES}
        stray = [path for path in self.members if not path.startswith(f"{facts.module_name}/") and path not in own]
        if paths[0] != f"{facts.module_name}/package.json" or stray:
            odd = (stray or paths)[0]
            raise self.rejected(f"has members outside its own folders, such as {odd}", member=odd)
        return facts

    def _parse_facts(self, text: bytes, member: str) -> PackageFacts:
        try:
            content: Any = json.loads(text)
            newer = PackageFacts.needs_newer(content)
            if newer is not None:
                raise IncompatiblePackage(f"{self.path} {newer}.", path=self.path, member=member)
            return PackageFacts.from_json(content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self.rejected(f"has a package.json that cannot be read ({error})", member=member) from error

    def _explain(self) -> None:
        """Raise what can be told of a file that is not in the form of this version: a newer form, or a forged zip file."""
        import zipfile
        import zlib

        if self._directory_is_huge():
            return
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = archive.infolist()
                names = [info.orig_filename for info in members]
                facts = [name for name in names if name.count("/") == 1 and name.endswith("/package.json")]
                texts = []
                for name in facts:
                    with archive.open(name) as member:  # no more of it than a sound one has: it may be a bomb
                        texts.append((member.read(BIG_BYTES), name))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zlib.error):
            return  # no zip file at all: the first error says as much
        self._check_names(names)
        counts = Counter(names)
        for info in members:
            name = info.orig_filename
            if counts[name] > 1:
                raise self.rejected(f"has the member {name} twice", member=name)
            if info.external_attr >> 16 & 0o170000 not in (0, 0o040000, 0o100000):
                raise self.rejected(f"has a member that is a link or a device: {name}", member=name)
        for text, name in texts:
            self._parse_facts(text, name)
        for info in members:
            if info.compress_type != zipfile.ZIP_STORED or info.is_dir():
                name = info.orig_filename
                raise self.rejected(f"has a member that is no plain stored file: {name}", member=name)

    def _directory_is_huge(self) -> bool:
        """Whether reading the directory of a zip file that is none of ours would take long; it is not explained then."""
        size = os.fstat(self._file.fileno()).st_size
        tail = os.pread(self._file.fileno(), _END_BYTES, max(0, size - _END_BYTES))
        position = tail.rfind(b"PK\x05\x06")
        if position < 0 or len(tail) - position < 22:
            return False
        count, directory_bytes = struct.unpack_from("<HI", tail, position + 10)
        return bool(count == 0xFFFF or directory_bytes > _EXPLAINED_BYTES)
