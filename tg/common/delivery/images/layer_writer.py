"""Writing a layer: files become a gzipped tar, the same bytes for the same files (image-spec 1.1, layer.md).

What is fixed: the order (by path), owner and group, permissions (read for all, execute where the file has it), the time.
Symbolic links stay links. Parent folders come before what is in them.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..runtime.errors import ImageProblem
from .blob import LAYER, Blob, Layer

__all__ = ["FIXED_TIME", "LayerFile", "compress_layer", "tar_chunks", "write_layer"]

FIXED_TIME = 315532800
"""1980-01-01, the earliest time that a zip file, and so a package, can have."""

_IN_MEMORY_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_LEVEL = 1  # of isal's 0 to 3; more takes longer and gains one per cent


@dataclass(frozen=True)
class LayerFile:
    """One entry: `path` in the image, without a slash at its beginning, and what is there.

    `content` is bytes, the `Path` of a file here, or `None` for a folder; `link` is the target of a symbolic link.
    `sha256`, in hexadecimal digits, is for a content that somebody can change after it was looked at: it is held to it.
    """

    path: str
    content: bytes | memoryview | Path | None = None
    link: str | None = None
    executable: bool = False
    mode: int | None = None
    owner: int = 0
    sha256: str | None = None

    def header(self, size: int) -> bytes:
        """The entry's header in the tar, for a content of this size: the bytes that `tarfile` gives, the shortest form."""
        kind, mode = tarfile.REGTYPE, 0o755 if self.executable else 0o644
        if self.link is not None:
            kind, mode = tarfile.SYMTYPE, 0o777
        elif self.content is None:
            kind, mode = tarfile.DIRTYPE, 0o755
        mode = mode if self.mode is None else self.mode
        name = self.path + "/" if kind == tarfile.DIRTYPE else self.path
        parts = _split(name) if self.link is None and name.isascii() and size < 8**11 else None
        if parts is not None:
            return _filled(*_bare_header(kind, mode, self.owner), *parts, size)
        info = _info(self.path, kind, mode, self.owner)
        info.size, info.linkname = size, self.link or ""
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _info(name: str, kind: bytes, mode: int, owner: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime, info.uid, info.gid = kind, mode, FIXED_TIME, owner, owner
    return info


@functools.cache
def _bare_header(kind: bytes, mode: int, owner: int) -> tuple[bytes, int]:
    """A header without name, size and checksum, and its checksum. `tarfile` takes longer for one than compressing a module."""
    header = bytearray(_info("", kind, mode, owner).tobuf(tarfile.USTAR_FORMAT))
    header[0:100], header[124:136] = bytes(100), bytes(12)
    header[148:156] = b"        "  # it is made with blanks in its own place
    return bytes(header), sum(header)


def _split(name: str) -> tuple[bytes, bytes] | None:
    """A name as the prefix and the rest that "ustar" has room for, 155 and 100 bytes; `None` if it is too long."""
    if len(name) <= 100:
        return b"", name.encode()
    slash = name.find("/", len(name) - 101)  # what is after it has room; no slash at the end of a folder's name
    if not 0 < slash <= 155 or slash == len(name) - 1:
        return None
    return name[:slash].encode(), name[slash + 1 :].encode()


def _filled(bare: bytes, checksum: int, prefix: bytes, name: bytes, size: int) -> bytes:
    """POSIX.1-1988, "ustar": name from 0, size in octal digits from 124, checksum from 148, prefix from 345."""
    digits = b"%011o" % size
    header = bytearray(bare)
    header[: len(name)] = name
    header[345 : 345 + len(prefix)] = prefix
    header[124:136] = digits + b"\0"
    header[148:156] = b"%06o\0 " % (checksum + sum(name) + sum(prefix) + sum(digits))
    return bytes(header)


def write_layer(files: Iterable[LayerFile], created_by: str, into: Path | None = None) -> Layer:
    """The layer of these files; its blob is written to `into`, or kept in memory, or in a temporary file if it is big."""
    out = _Gzipped(into)
    for chunk in tar_chunks(files):
        out.add(chunk)
    return out.layer(created_by)


def compress_layer(tar: BinaryIO, created_by: str, into: Path) -> Layer:
    """The layer of a tar that is there already, gzipped or not; its blob is written to `into`, gzipped by us."""
    out = _Gzipped(into)
    zipped = tar.read(2) == b"\x1f\x8b"
    tar.seek(0)
    stream: Any = gzip.GzipFile(fileobj=tar) if zipped else tar
    while chunk := stream.read(_CHUNK_BYTES):
        out.add(chunk)
    return out.layer(created_by)


def _with_parents(files: Iterable[LayerFile]) -> Iterator[LayerFile]:
    """All files by path, each folder once and before its content."""
    by_path = {file.path: file for file in files}
    for path in list(by_path):
        parent = path.rpartition("/")[0]
        while parent and parent not in by_path:
            by_path[parent] = LayerFile(parent)
            parent = parent.rpartition("/")[0]
    for path in sorted(by_path, key=lambda path: path.split("/")):
        yield by_path[path]


def tar_chunks(files: Iterable[LayerFile]) -> Iterator[bytes | memoryview]:
    """The tar of these files, in pieces, to its end."""
    for file in _with_parents(files):
        content = b"" if file.content is None else file.content
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        padding = bytes(-size % tarfile.BLOCKSIZE)
        if not isinstance(content, Path) and size <= _CHUNK_BYTES and file.sha256 is None:
            yield b"".join((file.header(size), content, padding))
            continue
        yield file.header(size)
        pieces = _pieces(content, size)
        yield from pieces if file.sha256 is None else _held_to(file.sha256, pieces, file.path)
        if padding:  # an empty piece would end a request that is sent in pieces
            yield padding
    yield bytes(2 * tarfile.BLOCKSIZE)


def _pieces(content: bytes | memoryview | Path, size: int) -> Iterator[bytes | memoryview]:
    """The content, whose header has said its size. Raises `OSError` for a file that has got shorter since."""
    if not isinstance(content, Path):
        for start in range(0, size, _CHUNK_BYTES):
            yield memoryview(content)[start : start + _CHUNK_BYTES]
        return
    with content.open("rb") as stream:
        while size:
            chunk = stream.read(min(size, _CHUNK_BYTES))
            if not chunk:
                raise OSError(f"{content} has been cut while it was read; try again when nobody writes to it")
            size -= len(chunk)
            yield chunk


def _held_to(sha256: str, pieces: Iterable[bytes | memoryview], path: str) -> Iterator[bytes]:
    """The pieces, each read once, hashed and passed on. Raises `ImageProblem` after the last if they are others."""
    digest = hashlib.sha256()
    for piece in pieces:
        read = bytes(piece)
        digest.update(read)
        yield read
    if digest.hexdigest() != sha256:
        raise ImageProblem(f"{path} was changed while the image was made of it. Make or copy the package again.")


class _Gzipped:
    """Takes the bytes of a tar, and knows the digests of the tar and of its gzipped form."""

    def __init__(self, into: Path | None) -> None:
        from isal import isal_zlib

        self._into = into
        self._file: Any = into.open("wb") if into is not None else tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 closed with the layer
        self._compressor = isal_zlib.compressobj(_LEVEL, wbits=31)  # 31: gzip, its header without a time
        self._tar, self._blob, self._size = hashlib.sha256(), hashlib.sha256(), 0
        self._waiting: list[bytes | memoryview] = []
        self._waiting_bytes = 0

    def add(self, data: bytes | memoryview) -> None:
        """Small pieces are joined: a call for each header would take longer than the work."""
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _CHUNK_BYTES:
            self._flush()

    def _flush(self) -> None:
        joined = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._tar.update(joined)
        self._put(self._compressor.compress(joined))

    def _put(self, data: bytes) -> None:
        self._blob.update(data)
        self._size += len(data)
        self._file.write(data)

    def layer(self, created_by: str) -> Layer:
        self._flush()
        self._put(self._compressor.flush())
        digest, diff_id = f"sha256:{self._blob.hexdigest()}", f"sha256:{self._tar.hexdigest()}"
        if self._into is not None:
            self._file.close()
            return Layer(Blob.of_file(self._into, digest, LAYER), diff_id, created_by)
        if self._size <= _IN_MEMORY_BYTES:
            self._file.seek(0)
            data = self._file.read()
            self._file.close()
            return Layer(Blob(digest, len(data), LAYER, lambda: io.BytesIO(data)), diff_id, created_by)
        return Layer(Blob(digest, self._size, LAYER, _Reopened(self._file)), diff_id, created_by)


class _Reopened:
    """A temporary file that is read any number of times, and is gone when nobody has the layer any more."""

    def __init__(self, file: Any) -> None:
        file.flush()
        self._file = file
        weakref.finalize(self, file.close)

    def __call__(self) -> BinaryIO:
        return io.BufferedReader(_OwnPlace(self), _CHUNK_BYTES)


class _OwnPlace(io.RawIOBase):
    """Reads an open file from its beginning at a place of its own: on macOS, /dev/fd/N shares that of the file."""

    def __init__(self, of: _Reopened) -> None:
        super().__init__()
        self._of = of  # which keeps the file open
        self._place = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = os.pread(self._of._file.fileno(), len(buffer), self._place)
        buffer[: len(read)] = read
        self._place += len(read)
        return len(read)
