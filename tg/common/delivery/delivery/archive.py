"""The archive: a zip file of stored members in one canonical form, and a seal over it.

Any zip reader reads it; this one reads nothing else. For given members there is one archive, byte for byte: fixed
times, one way to write a header, no gaps, nothing before or after (APPNOTE.TXT 6.3.10 of the zip format, sections 4.3
and 4.5.3). Its comment is the *seal*: the SHA-256 of all bytes before it, leaving out only the data of members of 64 KiB
and more, whose own hashes are listed elsewhere (RECORD, which the seal covers whatever its size). So any changed byte
shows, and big data is hashed once, not twice. The seal is what identifies a package.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

__all__ = [
    "BIG_BYTES",
    "ENVELOPE_FILE",
    "MEMBERS_LIMIT",
    "RECORD_FILE",
    "Archive",
    "ArchiveError",
    "Entry",
    "is_big",
    "write_archive",
]

BIG_BYTES = 64 * 1024
RECORD_FILE = "RECORD"
ENVELOPE_FILE = "MANIFEST.dsse.json"
_COVERED = tuple(f".dist-info/{name}" for name in (RECORD_FILE, ENVELOPE_FILE))
"""What speaks for others is covered by the seal itself."""

MEMBERS_LIMIT = 100_000
"""How many members a package may have. With the two below, what a hostile file can make its reader take is bounded."""

_WRITTEN_AT_ONCE = 16 * 1024 * 1024
_DIRECTORY_LIMIT_BYTES = 64 * 1024 * 1024
_SMALL_LIMIT_BYTES = 512 * 1024 * 1024

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

    @property
    def is_big(self) -> bool:
        """Whether its data are left to a hash elsewhere."""
        return is_big(self.name, self.size)


def is_big(name: str, size: int) -> bool:
    """Whether the seal leaves out the data of a member."""
    return size >= BIG_BYTES and not name.endswith(_COVERED)


def write_archive(
    file: IO[bytes],
    members: Iterable[tuple[str, bytes | memoryview, int, bool]],
    told: Callable[[int], None] = lambda count: None,
) -> str:
    """Write members, given as name, bytes, CRC-32 and whether they are executable, in their order; return the seal.

    `told` is called with the number of bytes that were written since.
    """
    seal = hashlib.sha256()
    waiting: list[bytes] = []
    offset = 0
    directory = []

    def flush() -> None:
        joined = b"".join(waiting)
        waiting.clear()
        seal.update(joined)
        file.write(joined)
        told(len(joined))

    for name, data, crc, executable in members:
        local, central = _headers(name.encode(), crc, len(data), executable, offset)
        directory.append(central)
        waiting.append(local)
        offset += len(local) + len(data)
        if not is_big(name, len(data)):
            waiting.append(bytes(data))
        else:
            flush()
            for start in range(0, len(data), _WRITTEN_AT_ONCE):
                piece = memoryview(data)[start : start + _WRITTEN_AT_ONCE]
                file.write(piece)
                told(len(piece))
    waiting += [*directory, _end(offset, sum(map(len, directory)), len(directory))]
    flush()
    file.write(seal.hexdigest().encode())
    return seal.hexdigest()


class Archive:
    """An archive, read once: opening checks its form, `check_seal` its content, but for the data of big members.

    Every byte but those is read when it is opened, one time, and kept: what is checked is what is given out, whatever
    happens to the file meanwhile. `read(offset, size)` gives bytes of it, all of them or fewer at its end.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        """Raises `ArchiveError` when this is no zip file, not in the canonical form, or has more than one may have."""
        self._read = read
        self._size = size
        self.entries: dict[str, Entry] = {}
        self._parts: list[bytes] = []
        self._small: dict[str, memoryview] = {}
        try:
            self._open()
        except (struct.error, UnicodeDecodeError, IndexError, OverflowError) as error:
            raise ArchiveError(f"is cut off or altered ({error})") from error

    @classmethod
    def of_bytes(cls, data: bytes) -> Archive:
        """An archive that is in memory."""
        return cls(lambda offset, size: data[offset : offset + size], len(data))

    @classmethod
    def of_file(cls, descriptor: int) -> Archive:
        """An archive in an open file."""
        return cls(lambda offset, size: _read_all(descriptor, offset, size), os.fstat(descriptor).st_size)

    def data(self, name: str) -> memoryview:
        """The bytes of a small member, as they were when the archive was opened."""
        return self._small[name]

    def check_seal(self) -> str:
        """Hash what the seal covers, and return the seal. Raises `ArchiveError` when it is another."""
        digest = hashlib.sha256()
        for part in self._parts:
            digest.update(part)
        if self._seal != digest.hexdigest().encode():
            raise ArchiveError("was altered after it was made: its seal does not fit")
        return digest.hexdigest()

    def _open(self) -> None:
        end, directory_offset, size, count = self._read_end()
        if count > MEMBERS_LIMIT or size > _DIRECTORY_LIMIT_BYTES:
            raise ArchiveError(f"has {count} members; a package has {MEMBERS_LIMIT} at most")
        directory = self._exactly(directory_offset, size)
        done = position = small = 0
        waiting: list[tuple[Entry, bytes]] = []
        for entry, canonical in _read_directory(directory, count):
            local, central = _headers(entry.name.encode(), entry.crc, entry.size, entry.executable, entry.header_offset)
            if entry.header_offset != position or central != canonical:
                raise ArchiveError(f"is not as it was made: the header of {entry.name!r} was altered")
            if entry.name in self.entries:
                raise ArchiveError(f"has the member {entry.name} twice")
            self.entries[entry.name] = entry
            position = entry.data_offset + entry.size
            waiting.append((entry, local))
            if entry.is_big:
                self._take(done, entry.data_offset, waiting)
                done = position
            else:
                small += entry.size
                if small > _SMALL_LIMIT_BYTES:
                    raise ArchiveError(f"has more in small members than {_SMALL_LIMIT_BYTES} bytes, up to {entry.name}")
        if position != directory_offset:
            raise ArchiveError("is not as it was made: something lies between its members and their directory")
        self._take(done, position, waiting)
        self._parts += [directory, end[:-64]]
        self._seal = end[-64:]

    def _take(self, start: int, end: int, waiting: list[tuple[Entry, bytes]]) -> None:
        """Read what lies between the data of two big members: the headers that are `waiting`, and small data."""
        part = self._exactly(start, end - start)
        view = memoryview(part)
        for entry, local in waiting:
            begin = entry.data_offset - start
            if part[entry.header_offset - start : begin] != local:
                raise ArchiveError(f"is not as it was made: the header of {entry.name!r} was altered")
            if not entry.is_big:
                self._small[entry.name] = view[begin : begin + entry.size]
        self._parts.append(part)
        waiting.clear()

    def _exactly(self, offset: int, size: int) -> bytes:
        data = self._read(offset, size)
        if len(data) != size:
            raise ArchiveError("was cut while it was read")
        return data

    def _read_end(self) -> tuple[bytes, int, int, int]:
        """What follows the directory; offset and size of the directory, and how many members it has."""
        length = min(self._size, _END_64.size + _LOCATOR_64.size + _END.size + _COMMENT_LENGTH)
        tail = self._exactly(self._size - length, length)
        position = length - _COMMENT_LENGTH - _END.size
        if position < 0 or tail[position : position + 4] != b"PK\x05\x06":
            raise ArchiveError(
                "has no seal at its end: it is cut off, was repacked, or is no package at all (an ordinary wheel is for pip)"
            )
        *_, count, size, offset, _length = _END.unpack_from(tail, position)
        if (offset == _LIMIT or size == _LIMIT or count == _COUNT_LIMIT) and position:
            *_, count, size, offset = _END_64.unpack_from(tail)
        end = _end(offset, size, count)
        if offset + size + len(end) + 64 != self._size or tail[-64 - len(end) : -64] != end:
            raise ArchiveError("is not as it was made: its end was altered")
        return tail[-64 - len(end) :], offset, size, count


def _read_all(descriptor: int, offset: int, size: int) -> bytes:
    """Bytes of a file, which one call gives no more than 2 GiB of (`man 2 read`)."""
    parts = []
    while size and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts) if len(parts) != 1 else parts[0]


def _read_directory(directory: bytes, count: int) -> Iterator[tuple[Entry, bytes]]:
    """Each member, and the bytes that say so."""
    position = 0
    for _ in range(count):
        fields = _CENTRAL.unpack_from(directory, position)
        crc, stored, name_length, extra_length = fields[7], fields[8], fields[10], fields[11]
        attributes, offset = fields[15], fields[16]
        name_end = position + _CENTRAL.size + name_length
        name = directory[position + _CENTRAL.size : name_end].decode()
        if extra_length:
            values = iter(struct.unpack_from(f"<{(extra_length - 4) // 8}Q", directory, name_end + 4))
            stored = (next(values, 0), next(values, 0))[1] if stored == _LIMIT else stored
            offset = next(values, 0) if offset == _LIMIT else offset
        header_length = _LOCAL.size + name_length + (20 if stored >= _LIMIT else 0)
        entry = Entry(name, crc, stored, attributes == _EXECUTABLE_MODE, offset, offset + header_length)
        yield entry, directory[position : name_end + extra_length]
        position = name_end + extra_length
    if position != len(directory):
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
