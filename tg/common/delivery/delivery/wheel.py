"""The package file: a wheel (PEP 427), the same bytes for the same input, and readable only as it was written.

A wheel's RECORD has the SHA-256 of every file, but not of what lies between them: headers, times, the order. So the
archive's comment holds a *seal*, the SHA-256 of all bytes before it, leaving out only the data of members of 64 KiB
and more, for which RECORD speaks. Any changed byte shows; a big package is hashed once and not twice. The seal is the
package's digest: equal seals, equal packages.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import mmap
import os
import re
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..runtime.errors import PackageRejected

__all__ = ["Member", "RecordedFile", "WheelReader", "wheel_file_name", "write_wheel"]

BIG_BYTES = 64 * 1024
_QUOTE = '"'
_NEEDS_QUOTES = re.compile('[",\\s]')
_SEAL = b"tg-package sha256:"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file can say
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, and at its end the lengths of name and extra field
_UNSAFE = re.compile(r"(?:^|/)(?:\.{0,2})(?:/|$)|\\|^[A-Za-z]:|[\x00-\x1f]")


@dataclass(frozen=True)
class Member:
    """A file of the wheel: its path, its bytes, their SHA-256 in hexadecimal digits."""

    path: str
    data: bytes | memoryview
    sha256: str
    executable: bool = False

    @classmethod
    def of(cls, path: str, data: bytes) -> Member:
        """A member whose hash is not known yet."""
        return cls(path, data, hashlib.sha256(data).hexdigest())


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
        for path, encoded, size in csv.reader(io.StringIO(text)):
            if encoded:
                algorithm, _, value = encoded.partition("=")
                if algorithm != "sha256":
                    raise ValueError(f"{path} is hashed with {algorithm}")
                digest = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
                found[path] = cls(path, digest, int(size))
        return found


def wheel_file_name(name: str, version: str) -> str:
    """`example_job-0.0.0-py3-none-any.whl`; both parts are in their canonical form (PEP 427, file name convention)."""
    return f"{name}-{version}-py3-none-any.whl"


def write_wheel(path: Path, members: Sequence[Member], dist_info: str, metadata: Mapping[str, bytes]) -> str:
    """Write a wheel and return its seal, in hexadecimal digits.

    `dist_info` is the folder `name-version.dist-info`, `metadata` the files in it but RECORD. The file appears
    whole: it is written under a temporary name beside `path` and renamed.
    """
    listed = [*sorted(members, key=lambda member: member.path)]
    listed += [Member.of(f"{dist_info}/{name}", metadata[name]) for name in sorted(metadata)]
    record = "".join(str(RecordedFile(member.path, member.sha256, len(member.data))) for member in listed)
    listed.append(Member.of(f"{dist_info}/RECORD", (record + f"{dist_info}/RECORD,,\n").encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "w+b") as file:
            _write_archive(file, listed)
            seal = _seal_file(file)
            os.fchmod(file.fileno(), 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return seal


def _write_archive(file: io.BufferedRandom, members: Iterable[Member]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for member in members:
            info = zipfile.ZipInfo(member.path, _EPOCH)
            info.create_system = 3  # Unix, also when written elsewhere
            info.external_attr = (0o100755 if member.executable else 0o100644) << 16
            info.file_size = len(member.data)
            with archive.open(info, "w") as opened:
                opened.write(member.data)
        archive.comment = _SEAL + b"0" * 64


def _seal_file(file: io.BufferedRandom) -> str:
    file.flush()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, zipfile.ZipFile(file) as archive:
        seal = _seal_of(data, archive.infolist())
    file.seek(-64, os.SEEK_END)
    file.write(seal.encode())
    return seal


def _seal_of(data: mmap.mmap, members: Iterable[zipfile.ZipInfo]) -> str:
    digest = hashlib.sha256()
    done = 0
    with memoryview(data) as view:
        for member in sorted(members, key=lambda member: member.header_offset):
            if member.file_size >= BIG_BYTES:
                start = _data_offset(data, member)
                digest.update(view[done:start])
                done = start + member.file_size
        digest.update(view[done : len(view) - 64])
    return digest.hexdigest()


class WheelReader:
    """A package file, opened for reading: a context manager.

    Opening looks at the directory alone, and refuses what has members that leave their folder, come twice, or are
    not plain stored files. `check_seal` proves that nothing but the big members' data was changed; `data` and
    `RecordedFile.sha256` are there to prove the rest while it is used. Raises `PackageRejected`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise PackageRejected(f"{path} cannot be opened: {error.strerror}.", path=path) from error
        try:
            self._archive = zipfile.ZipFile(self._file)
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            self.members = {info.filename: info for info in self._checked(self._archive.infolist())}
        except (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError) as error:
            self._file.close()
            raise PackageRejected(
                f"{path} is no package: it cannot be read as a zip archive ({error}). Was it copied to its end?",
                path=path,
            ) from error
        except PackageRejected:
            self._file.close()
            raise

    def __enter__(self) -> WheelReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._archive.close()
        self._file.close()
        # The mapping closes with the last view of it.

    def data(self, member: str) -> memoryview:
        """The bytes of a member, mapped."""
        info = self.members[member]
        start = _data_offset(self._map, info)
        return memoryview(self._map)[start : start + info.file_size]

    def is_executable(self, member: str) -> bool:
        """Whether the member is to be executable for its owner."""
        return bool(self.members[member].external_attr >> 16 & 0o100)

    def check_seal(self) -> str:
        """Hash what the seal covers. Returns the seal, in hexadecimal digits."""
        comment = self._archive.comment
        if not comment.startswith(_SEAL) or len(comment) != len(_SEAL) + 64:
            raise self.rejected("has no seal. It was repacked, or written by something else; deliver it again")
        seal = _seal_of(self._map, self.members.values())
        if seal.encode() != comment[len(_SEAL) :]:
            raise self.rejected("was altered after it was made: its seal does not fit. Copy or deliver it again")
        return seal

    @cached_property
    def record(self) -> dict[str, RecordedFile]:
        """RECORD, by path; it lists every member but itself, and nothing else."""
        paths = [path for path in self.members if path.count("/") == 1 and path.endswith(".dist-info/RECORD")]
        if len(paths) != 1:
            raise self.rejected("is no package: it has no RECORD")
        try:
            record = RecordedFile.parse_all(str(self.data(paths[0]), "utf-8"))
        except ValueError as error:
            raise self.rejected(f"has a RECORD that cannot be read ({error})", member=paths[0]) from error
        if record.keys() != self.members.keys() - {paths[0]}:
            odd = sorted(record.keys() ^ (self.members.keys() - {paths[0]}))
            raise self.rejected(f"has other members than its RECORD says, the first is {odd[0]}", member=odd[0])
        return record

    def check_hash(self, member: str, sha256: str) -> None:
        """Raise unless `sha256`, in hexadecimal digits, is what RECORD says of the member."""
        if self.record[member].sha256 != sha256:
            raise self.rejected(f"was altered after it was made: {member} is not what RECORD says", member=member)

    def rejected(self, why: str, *, member: str | None = None) -> PackageRejected:
        """The error for this file."""
        return PackageRejected(f"{self.path} {why}.", path=self.path, member=member)

    def _checked(self, members: Sequence[zipfile.ZipInfo]) -> Sequence[zipfile.ZipInfo]:
        seen: set[str] = set()
        for info in members:
            name = info.filename
            # `orig_filename`: zipfile cuts names at a null byte, and what it hides is not to be trusted.
            if _UNSAFE.search(info.orig_filename) or info.orig_filename != name:
                raise self.rejected(f"has a member that would leave its folder: {info.orig_filename!r}", member=name)
            if name in seen:
                raise self.rejected(f"has the member {name} twice", member=name)
            seen.add(name)
            kind = info.external_attr >> 16 & 0o170000
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & ~0x800 or kind not in (0, 0o100000):
                raise self.rejected(f"has a member that is no plain stored file: {name}", member=name)
            if _data_offset(self._map, info) + info.file_size > len(self._map) or info.file_size != info.compress_size:
                raise self.rejected(f"is cut off: {name} is not all there", member=name)
        return members


def _data_offset(data: mmap.mmap, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: behind its local header, whose name and extra field may be of any length."""
    signature, name_length, extra_length = _LOCAL_HEADER.unpack_from(data, member.header_offset)
    if signature != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"no local header of {member.filename!r} at {member.header_offset}")
    return int(member.header_offset + _LOCAL_HEADER.size + name_length + extra_length)
