"""The archive: a zip file of stored members in one canonical form, and a seal over it.

Any zip reader reads it; this one reads nothing else. For given members there is one archive, byte for byte: fixed
times, one way to write a header, no gaps, nothing before or after (APPNOTE.TXT 6.3.10 of the zip format, sections 4.3
and 4.5.3). Its comment is the *seal*: the SHA-256 of all bytes before it, leaving out only the data of members of 64 KiB
and more, whose own hashes are listed elsewhere (RECORD). So any changed byte shows, and big data is hashed once, not
twice. The seal is what identifies a package.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

__all__ = ["BIG_BYTES", "Archive", "ArchiveError", "Entry", "write_archive"]

BIG_BYTES = 64 * 1024

_SEAL = b"tg-package sha256:"
_COMMENT_LENGTH = len(_SEAL) + 64
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_LIMIT = 0xFFFFFFFF
_COUNT_LIMIT = 0xFFFF
_UTF8, _STORED, _TIME, _DATE = 0x800, 0, 0, 0x21  # 1980-01-01, the earliest there is
_UNIX = 3 << 8
_MODE, _EXECUTABLE_MODE = 0o100644 << 16, 0o100755 << 16


class ArchiveError(ValueError):
    """Raised for bytes that are not an archive of this form; the message completes "the file …"."""


@dataclass(frozen=True)
class Entry:
    """A member as the directory has it: its name, CRC-32, size, mode, and where its header and its data begin."""

    name: str
    crc: int
    size: int
    executable: bool
    header_offset: int
    data_offset: int


def write_archive(file: IO[bytes], members: Iterable[tuple[str, bytes | memoryview, int, bool]]) -> str:
    """Write members, given as name, bytes, CRC-32 and whether they are executable, in their order; return the seal."""
    seal = hashlib.sha256()
    waiting: list[bytes] = []
    offset = 0
    directory = []

    def flush() -> None:
        joined = b"".join(waiting)
        waiting.clear()
        seal.update(joined)
        file.write(joined)

    for name, data, crc, executable in members:
        local, central = _headers(name.encode(), crc, len(data), executable, offset)
        directory.append(central)
        waiting.append(local)
        offset += len(local) + len(data)
        if len(data) < BIG_BYTES:
            waiting.append(bytes(data))
        else:
            flush()
            file.write(data)
    waiting += [*directory, _end(offset, sum(map(len, directory)), len(directory))]
    flush()
    file.write(seal.hexdigest().encode())
    return seal.hexdigest()


class Archive:
    """An archive in memory, mapped or not. Opening checks its form; `check_seal` its content, but for big members."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        """Raises `ArchiveError` when this is no zip file, or not in the canonical form."""
        self._data = data
        self.entries: dict[str, Entry] = {}
        try:
            directory_offset, size, count = self._read_end()
            end = 0
            for entry, header_length, central in self._read_directory(directory_offset, size, count):
                local, canonical = _headers(
                    entry.name.encode(), entry.crc, entry.size, entry.executable, entry.header_offset
                )
                here = self._data[entry.header_offset : entry.header_offset + header_length]
                if entry.header_offset != end or here != local or central != canonical:
                    raise ArchiveError(f"is not as it was made: the header of {entry.name!r} was altered")
                if entry.name in self.entries:
                    raise ArchiveError(f"has the member {entry.name} twice")
                self.entries[entry.name] = entry
                end = entry.data_offset + entry.size
            if end != directory_offset:
                raise ArchiveError("is not as it was made: something lies between its members and their directory")
        except (struct.error, UnicodeDecodeError, IndexError, OverflowError) as error:
            raise ArchiveError(f"is cut off or altered ({error})") from error

    def data(self, name: str) -> memoryview:
        """The bytes of a member."""
        entry = self.entries[name]
        return memoryview(self._data)[entry.data_offset : entry.data_offset + entry.size]

    def check_seal(self) -> str:
        """Hash what the seal covers, and return the seal. Raises `ArchiveError` when it is another."""
        digest = hashlib.sha256()
        done = 0
        with memoryview(self._data) as view:
            for entry in self.entries.values():
                if entry.size >= BIG_BYTES:
                    digest.update(view[done : entry.data_offset])
                    done = entry.data_offset + entry.size
            digest.update(view[done : len(view) - 64])
            if bytes(view[-64:]) != digest.hexdigest().encode():
                raise ArchiveError("was altered after it was made: its seal does not fit")
        return digest.hexdigest()

    def _read_end(self) -> tuple[int, int, int]:
        """Offset and size of the directory, and how many members it has."""
        position = len(self._data) - _COMMENT_LENGTH - _END.size
        if position < 0 or self._data[position : position + 4] != b"PK\x05\x06":
            raise ArchiveError(
                "has no seal at its end: it is cut off, was repacked, or is no package at all (an ordinary wheel is for pip)"
            )
        *_, count, size, offset, _length = _END.unpack_from(self._data, position)
        if offset == _LIMIT or size == _LIMIT or count == _COUNT_LIMIT:
            record = position - _LOCATOR_64.size - _END_64.size
            *_, count, size, offset = _END_64.unpack_from(self._data, record)
        if self._data[offset + size : len(self._data) - 64] != _end(offset, size, count):
            raise ArchiveError("is not as it was made: its end was altered")
        return offset, size, count

    def _read_directory(self, position: int, size: int, count: int) -> Iterator[tuple[Entry, int, bytes]]:
        end = position + size
        for _ in range(count):
            fields = _CENTRAL.unpack_from(self._data, position)
            crc, stored, name_length, extra_length = fields[7], fields[8], fields[10], fields[11]
            attributes, offset = fields[15], fields[16]
            name_end = position + _CENTRAL.size + name_length
            name = self._data[position + _CENTRAL.size : name_end].decode()
            if extra_length:
                values = iter(struct.unpack_from(f"<{(extra_length - 4) // 8}Q", self._data, name_end + 4))
                stored = (next(values, 0), next(values, 0))[1] if stored == _LIMIT else stored
                offset = next(values, 0) if offset == _LIMIT else offset
            header_length = _LOCAL.size + name_length + (20 if stored >= _LIMIT else 0)
            entry = Entry(name, crc, stored, attributes == _EXECUTABLE_MODE, offset, offset + header_length)
            yield entry, header_length, self._data[position : name_end + extra_length]
            position = name_end + extra_length
        if position != end:
            raise ArchiveError("is not as it was made: its directory has another length than it says")


def _headers(name: bytes, crc: int, size: int, executable: bool, offset: int) -> tuple[bytes, bytes]:
    """The local and the central header of a member: the one way there is to write them."""
    big = size >= _LIMIT
    version = 45 if big or offset >= _LIMIT else 20
    shown = _LIMIT if big else size
    sizes = struct.pack("<2Q", size, size) if big else b""
    local_extra = struct.pack("<2H", 1, 16) + sizes if big else b""
    central_extra = sizes + (struct.pack("<Q", offset) if offset >= _LIMIT else b"")
    if central_extra:
        central_extra = struct.pack("<2H", 1, len(central_extra)) + central_extra
    common = (version, _UTF8, _STORED, _TIME, _DATE, crc, shown, shown, len(name))
    local = _LOCAL.pack(b"PK\x03\x04", *common, len(local_extra)) + name + local_extra
    mode = _EXECUTABLE_MODE if executable else _MODE
    central = _CENTRAL.pack(
        b"PK\x01\x02", _UNIX | version, *common, len(central_extra), 0, 0, 0, mode, min(offset, _LIMIT)
    )
    return local, central + name + central_extra


def _end(offset: int, size: int, count: int) -> bytes:
    """What follows the directory, up to the seal's digits."""
    records = b""
    if offset >= _LIMIT or size >= _LIMIT or count >= _COUNT_LIMIT:
        records = _END_64.pack(b"PK\x06\x06", _END_64.size - 12, _UNIX | 45, 45, 0, 0, count, count, size, offset)
        records += _LOCATOR_64.pack(b"PK\x06\x07", 0, offset + size, 1)
    shown = min(count, _COUNT_LIMIT)
    end = _END.pack(b"PK\x05\x06", 0, 0, shown, shown, min(size, _LIMIT), min(offset, _LIMIT), _COMMENT_LENGTH)
    return records + end + _SEAL
