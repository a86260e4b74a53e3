"""The store: installed packages, each in a folder named by its digest, none ever changed or removed by another.

    STORE/<seal>/UID/…            one installed package, exactly the members of its wheel
    STORE/<seal>/name-….dist-info/
    STORE/names/<name>            the seal of the package of that name that was installed last
    STORE/tmp-…/                  one being unpacked; renamed when complete, so what has a seal for a name is whole

Any number of processes install at once: each unpacks into a folder of its own, and one of them wins the rename; the
others find theirs not needed. Files that the last package of that name has as well are linked, not written again;
installed files are read-only, since a change to one would be a change to all that share it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...locations import Loc
from ..runtime.errors import PackageNotFound
from ..runtime.whole_files import write_whole
from .facts import PackageFacts
from .wheel import BIG_BYTES, RecordedFile, WheelReader

__all__ = ["InstalledPackage", "Store", "list_installed", "prune"]

_SEAL = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = "tmp-"
_STALE_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class InstalledPackage:
    """A package in the store: its facts, its folder `UID/`, and when it was last installed (seconds since 1970)."""

    facts: PackageFacts
    folder: Path
    installed_at: float

    def __repr__(self) -> str:
        return f"<InstalledPackage {self.module_name}: {self.name} {self.version} in {self.folder}>"

    @property
    def name(self) -> str:
        """The name given to `Packaging`."""
        return self.facts.uid.name

    @property
    def version(self) -> str:
        """The version given to `Packaging`, or made from the content."""
        return self.facts.uid.version

    @property
    def module_name(self) -> str:
        """The UID as a module."""
        return self.facts.module_name

    @property
    def seal(self) -> str:
        """The digest of the package file."""
        return self.folder.parent.name


class Store:
    """A folder of installed packages; `Loc.store` unless another is named."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = Loc.store if root is None else root

    def install(self, file: Path) -> InstalledPackage:
        """Verify a package file and unpack it, unless it is there already.

        Raises `PackageRejected`, and leaves nothing behind, when the file is no package or not the one that was made.
        """
        with WheelReader(file) as wheel:
            facts = wheel.facts
            seal = wheel.check_seal()
            folder = self.root / seal
            if folder.is_dir():
                for path, recorded in wheel.record.items():
                    if recorded.size >= BIG_BYTES:
                        _write_checked(wheel, path, None)
            else:
                self._unpack(wheel, facts, folder)
        os.utime(folder / facts.dist_info)
        self._note_latest(facts.uid.name, seal)
        return InstalledPackage(facts, folder / facts.module_name, time.time())

    def packages(self) -> list[InstalledPackage]:
        """All installed packages, by name, the one installed last at the end."""
        found = [package for folder in self._folders() if (package := self._installed(folder)) is not None]
        return sorted(found, key=lambda package: (package.name, package.installed_at))

    def find(self, name: str, version: str | None = None) -> InstalledPackage | None:
        """The package with this UID, or this name and version; the one installed last, if several contents have it.

        Raises `PackageNotFound` when several versions of that name are there and none is named.
        """
        packages = self.packages()
        named = [package for package in packages if package.module_name == name and version is None]
        if not named:
            named = [package for package in packages if package.name == name and version in (None, package.version)]
        versions = {package.module_name: None for package in named}
        if len(versions) > 1:
            raise PackageNotFound(
                f"several versions of {name} are installed: {', '.join(versions)}. Name one of these."
            )
        return max(named, key=lambda package: package.installed_at, default=None)

    def remove(self, package: InstalledPackage) -> None:
        """Take a package out of the store: in one step out of sight, then off the disk."""
        gone = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.root))
        with suppress(FileNotFoundError):  # another process was first
            os.rename(package.folder.parent, gone / package.seal)
        shutil.rmtree(gone)

    def prune(self, *, keep: int) -> list[InstalledPackage]:
        """Remove all but the last `keep` packages of each name, and what interrupted installations left."""
        if keep < 0:
            raise ValueError(f"keep={keep}: the number of packages to keep of each name cannot be negative.")
        by_name: dict[str, list[InstalledPackage]] = {}
        for package in self.packages():
            by_name.setdefault(package.name, []).append(package)
        removed = [package for packages in by_name.values() for package in packages[: max(0, len(packages) - keep)]]
        for package in removed:
            self.remove(package)
        for entry in self.root.glob(f"{_TEMPORARY}*"):
            if time.time() - entry.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)
        return removed

    def _folders(self) -> Iterator[Path]:
        if self.root.is_dir():
            for entry in sorted(os.listdir(self.root)):
                if _SEAL.fullmatch(entry):
                    yield self.root / entry

    def _installed(self, folder: Path) -> InstalledPackage | None:
        """The package in a folder; none when another process has just removed it, or somebody has emptied it."""
        file = next(folder.glob("*/package.json"), None)
        facts = PackageFacts.of_folder(file.parent) if file is not None else None
        if file is None or facts is None:
            return None
        try:
            # The folder of metadata: bytecode and trees that were set aside change the times of the others.
            return InstalledPackage(facts, file.parent, (folder / facts.dist_info).stat().st_mtime)
        except FileNotFoundError:
            return None

    def _note_latest(self, name: str, seal: str) -> None:
        names = self.root / "names"
        names.mkdir(exist_ok=True)
        write_whole(names / name, lambda file: file.write(seal.encode()))

    def _unpack(self, wheel: WheelReader, facts: PackageFacts, folder: Path) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.root))
        try:
            unpacked = temporary / "package"
            _make_folders(unpacked, wheel.members)
            earlier = _Earlier.of(self.root, facts)
            for path in wheel.members:
                recorded = wheel.record.get(path)
                target = f"{unpacked}/{path}"
                if recorded is None or not earlier.link(recorded, target):
                    _write_checked(wheel, path, target)
            os.chmod(unpacked, 0o755)
            try:
                os.rename(unpacked, folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was first, with the same content
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def list_installed() -> list[InstalledPackage]:
    """The packages in the store, by name, the one installed last at the end."""
    return Store().packages()


def prune(*, keep: int = 3) -> list[InstalledPackage]:
    """Remove all but the last `keep` packages of each name from the store, and return what was removed.

    Meant for a time when nothing that uses them runs: a process that has loaded a removed package keeps what it has
    imported, but can import no more of it.
    """
    return Store().prune(keep=keep)


def _make_folders(root: Path, members: dict[str, Any]) -> None:
    folders = {path.rpartition("/")[0] for path in members}
    for folder in list(folders):
        while folder:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for folder in sorted(folders | {""}):
        os.mkdir(f"{root}/{folder}")


def _write_checked(wheel: WheelReader, path: str, target: str | None) -> None:
    """Write a member to `target` (`None`: nowhere) and hash it on the way; it must be what RECORD says."""
    digest = hashlib.sha256()
    mode = 0o555 if wheel.members[path].executable else 0o444
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(target, flags, mode) if target is not None else None
    try:
        for chunk in wheel.chunks(path):
            digest.update(chunk)
            while descriptor is not None and chunk:
                chunk = chunk[os.write(descriptor, chunk) :]
    finally:
        if descriptor is not None:
            os.close(descriptor)
    if path in wheel.record:
        wheel.check_hash(path, digest.hexdigest())


@dataclass(frozen=True)
class _Earlier:
    """The package of the same name that was installed last: what it has as well need not be written again."""

    folder: str
    record: dict[str, RecordedFile]
    installed_ns: int

    @classmethod
    def of(cls, root: Path, facts: PackageFacts) -> _Earlier:
        nothing = cls("", {}, 0)
        try:
            seal = (root / "names" / facts.uid.name).read_text(encoding="ascii")
            if not _SEAL.fullmatch(seal):
                return nothing
            folder = root / seal
            file = next(folder.glob("*.dist-info/RECORD"))
            record = RecordedFile.parse_all(file.read_text(encoding="utf-8"))
            installed_ns = file.stat().st_mtime_ns
        except (OSError, ValueError, StopIteration):
            return nothing
        # The first folder of a path is the UID, or the one that has the version in its name.
        return cls(str(folder), {_below(path): recorded for path, recorded in record.items()}, installed_ns)

    def link(self, wanted: RecordedFile, target: str) -> bool:
        """Link the same file to `target`, if there is one that nobody has touched since it was installed."""
        here = self.record.get(_below(wanted.path))
        if here is None or here.sha256 != wanted.sha256:
            return False
        source = f"{self.folder}/{here.path}"
        try:
            status = os.stat(source, follow_symlinks=False)
            unchanged = status.st_size == wanted.size and status.st_mtime_ns <= self.installed_ns
            if not unchanged or not stat.S_ISREG(status.st_mode):
                return False
            os.link(source, target)
        except OSError:  # gone, or a file system without links
            return False
        return True


def _below(path: str) -> str:
    return path.partition("/")[2]
