"""Claims: what a package file, or one that is installed, says of itself, for a policy to judge."""

from __future__ import annotations

import hashlib
import io
import mmap
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..runtime.errors import PackageRejected
from ..trust.manifest import FileEntry
from ..trust.policy import Claim
from .archive import BIG_BYTES, ENVELOPE_FILE, RECORD_FILE, write_archive
from .facts import PackageFacts
from .wheel import METADATA_FILES, RecordedFile, WheelReader

__all__ = ["claim_of_folder", "claim_of_pip", "claim_of_wheel", "file_entries"]


def claim_of_wheel(wheel: WheelReader, seal: str) -> Claim:
    """What a package file says, its seal being checked. The hashes are those of RECORD, which whoever uses a file holds to."""
    envelope = f"{wheel.facts.dist_info}/{ENVELOPE_FILE}"
    return _claim(
        wheel.path,
        wheel.facts,
        seal,
        file_entries(wheel.record, {path for path, entry in wheel.members.items() if entry.executable}, wheel.facts),
        bytes(wheel.data(envelope)) if envelope in wheel.members else None,
    )


def claim_of_folder(facts: PackageFacts, folder: Path, seal: str) -> Claim:
    """What an installed package says, its folder being `STORE/<seal>/UID`: all of it is read, and must give that seal.

    Raises `PackageRejected` when it gives another: it is not what was installed.
    """
    root = folder.parent
    record_path = f"{facts.dist_info}/{RECORD_FILE}"
    try:
        text = (root / record_path).read_bytes()
        record = RecordedFile.parse_all(text.decode())
        members = [*_read(root, record), (record_path, memoryview(text), zlib.crc32(text), False)]
        found = write_archive(_Nowhere(), members)
        envelope = f"{facts.dist_info}/{ENVELOPE_FILE}"
        signed = (root / envelope).read_bytes() if envelope in record else None
    except (OSError, ValueError) as error:
        raise _damaged(folder, str(error)) from error
    if found != seal:
        raise _damaged(folder, "its files are others")
    entries = file_entries(record, {path for path, _, _, executable in members if executable}, facts)
    return _claim(root, facts, seal, entries, signed)


def claim_of_pip(folder: Path) -> Claim:
    """What a package says that pip has installed, its folder `UID/` being in site-packages: its files as they are now.

    It has no seal any more, so its digest is that of no package. Raises `PackageRejected` when files of it are others than
    RECORD says; pip adds bytecode and files of its own.
    """
    facts = PackageFacts.of_folder(folder)
    if facts is None:
        raise _damaged(folder, "it has no package.json that can be read")
    root, own = folder.parent, (f"{facts.module_name}/", f"{facts.dist_info}/")
    try:
        text = (root / facts.dist_info / RECORD_FILE).read_text(encoding="utf-8")
        listed = RecordedFile.parse_all(text)
        record = {
            path: one
            for path, one in listed.items()
            if path.startswith(own)
            and "/__pycache__/" not in path
            and (not path.startswith(own[1]) or path.partition("/")[2] in METADATA_FILES)
        }
        stray = [path for path in _files_in(root, facts.module_name) if path not in record]
        if stray:
            raise ValueError(f"{stray[0]} is none of its files")
        members = list(_read(root, record))
        envelope = root / facts.dist_info / ENVELOPE_FILE
        signed = envelope.read_bytes() if envelope.exists() else None
    except (OSError, ValueError) as error:
        raise _damaged(folder, str(error)) from error
    entries = file_entries(record, {path for path, _, _, executable in members if executable}, facts)
    return _claim(folder, facts, "0" * 64, entries, signed)


def _files_in(root: Path, folder: str) -> Iterator[str]:
    """The files below `root/folder`, but for bytecode, by their paths below `root`."""
    for place, folders, names in os.walk(root / folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from ((Path(place) / name).relative_to(root).as_posix() for name in names)


def file_entries(record: Mapping[str, RecordedFile], executable: set[str], facts: PackageFacts) -> dict[str, FileEntry]:
    """All files of a package, by path, but for RECORD and the envelope."""
    return {
        path: FileEntry(one.sha256, one.size, path in executable)
        for path, one in record.items()
        if path != f"{facts.dist_info}/{ENVELOPE_FILE}"
    }


def _claim(path: Path, facts: PackageFacts, seal: str, files: Mapping[str, FileEntry], envelope: bytes | None) -> Claim:
    return Claim(
        path=path,
        name=facts.uid.name,
        version=facts.uid.version,
        module_name=facts.module_name,
        digest=f"sha256:{seal}",
        files=files,
        envelope=envelope,
    )


def _read(root: Path, record: Mapping[str, RecordedFile]) -> Iterator[tuple[str, memoryview, int, bool]]:
    """The files that RECORD lists, each as it says. Raises `ValueError` for one that is not."""
    for path, recorded in record.items():
        with (root / path).open("rb") as file:
            status = os.fstat(file.fileno())
            data: bytes | mmap.mmap = (
                file.read() if status.st_size < BIG_BYTES else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            )
        if hashlib.sha256(data).hexdigest() != recorded.sha256:
            raise ValueError(f"{path} is not what RECORD says")
        yield path, memoryview(data), zlib.crc32(data), bool(status.st_mode & 0o100)


class _Nowhere(io.BytesIO):
    """A file of what is only to be hashed on the way to it."""

    def write(self, data: object, /) -> int:
        return 0


def _damaged(folder: Path, why: str) -> PackageRejected:
    return PackageRejected(
        f"{folder} is not what was installed: {why}. Uninstall it and install it again.", path=folder
    )
