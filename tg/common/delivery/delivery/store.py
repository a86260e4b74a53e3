"""The store: installed packages, each in a folder named by its digest, none ever changed or removed by another.

    STORE/<seal>/UID/…            one installed package: the members of its wheel, and what Python keeps of them in __pycache__
    STORE/<seal>/name-….dist-info/
    STORE/names/<name>            the seal of the package of that name that was installed last
    STORE/tmp-…/                  one being unpacked; renamed when complete, so what has a seal for a name is whole
                                  (locked by who unpacks it: one that a killed process has left is swept by the next)

Any number of processes install at once: each unpacks into a folder of its own, and one of them wins the rename; the
others find theirs not needed. Files that the last package of that name has as well are linked, not written again, but for
shared libraries; installed files are read-only, since a change to one would be a change to all that share it. Bytecode that
Python has written for a file that is linked is linked with it, and fits: it goes by the time and size of the source (PEP 552).

What only installing needs is imported there: listing what is installed is among the first things that the command is asked.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...locations import Loc
from ...progress import Work, working
from ..runtime.errors import PackageNotFound
from ..runtime.whole_files import (
    make_private_folder,
    one_at_a_time,
    set_aside_for_sweep,
    sweep_unfinished,
    unfinished_folder,
    write_whole,
)
from .facts import PackageFacts
from .storage import storing

if TYPE_CHECKING:
    from ..trust.policy import Policy
    from .wheel import RecordedFile, WheelReader

__all__ = ["InstalledPackage", "Store", "list_installed", "prune"]

_SEAL = re.compile(r"[0-9a-f]{64}")


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
        """What identifies the package file, see archive.py; no hash of the whole file."""
        return self.folder.parent.name


class Store:
    """A folder of installed packages; `Loc.store` unless another is named."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = Loc.store if root is None else root

    def install(self, file: Path, *, policy: Policy | None = None) -> InstalledPackage:
        """Verify a package file and unpack it, unless it is there already.

        `policy` says whether it is trusted; `Policy.of_machine()` where none is given. What is checked is what is written:
        no byte is read twice. Raises `PackageRejected` when the file is no package or not the one that was made,
        `UntrustedPackage` when nobody who is trusted stands for it, `StorageProblem` when it cannot be kept; nothing is
        left behind then.
        """
        from ..trust.policy import Policy
        from .claims import claim_of_wheel
        from .wheel import WheelReader

        policy = Policy.of_machine() if policy is None else policy
        with WheelReader(file) as wheel:
            facts = wheel.facts
            seal = wheel.check_seal()
            policy.check(claim_of_wheel(wheel, seal))
            folder = self.root / seal
            with storing(f"{facts.module_name} cannot be installed", self.root):
                sweep_unfinished(self.root)
                while not self._keep(wheel, folder):
                    pass  # another process has removed it just now
                self._note_latest(facts.uid.name, seal)
        return InstalledPackage(facts, folder / facts.module_name, time.time())

    def check(self, package: InstalledPackage, *, policy: Policy) -> None:
        """Read an installed package again, all of it, and ask a policy whether it may be used.

        Raises `PackageRejected` when it is not what was installed, `UntrustedPackage`.
        """
        from .claims import claim_of_folder

        policy.check(claim_of_folder(package.facts, package.folder, package.seal), is_new=False)

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

    def of_seal(self, seal: str) -> InstalledPackage | None:
        """The package with this digest, if it is there."""
        return self._installed(self.root / seal)

    def remove(self, package: InstalledPackage) -> None:
        """Take a package out of the store: in one step out of sight, then off the disk."""
        with storing(f"{package.module_name} cannot be removed", self.root), unfinished_folder(self.root) as gone:
            _rename_if_there(package.folder.parent, gone / package.seal)

    def put_away(self, folder: Path) -> Path | None:
        """The same for whoever has no time to remove it, and knows its folder `UID/`: only the first step.

        What is out of sight then, and returned, the caller removes, or the next installation; `None` where there is none.
        """
        if folder.parent.parent != self.root or not _SEAL.fullmatch(folder.parent.name):
            return None
        with storing(f"{folder.name} cannot be removed", self.root):
            return set_aside_for_sweep(folder.parent, self.root)

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
        sweep_unfinished(self.root)
        sweep_unfinished(Loc.packages)
        return removed

    def _folders(self) -> Iterator[Path]:
        if self.root.is_dir():
            for entry in sorted(os.listdir(self.root)):
                if _SEAL.fullmatch(entry):
                    yield self.root / entry

    def _installed(self, folder: Path) -> InstalledPackage | None:
        """The package in a folder; none when another process has just removed it, or somebody has emptied it."""
        try:
            file = next(folder.glob("*/package.json"), None)
            facts = PackageFacts.of_folder(file.parent) if file is not None else None
            if file is None or facts is None:
                return None
            # The folder of metadata: bytecode and trees that were set aside change the times of the others.
            return InstalledPackage(facts, file.parent, (folder / facts.dist_info).stat().st_mtime)
        except FileNotFoundError:
            return None

    def _note_latest(self, name: str, seal: str) -> None:
        names = self.root / "names"
        make_private_folder(names)
        write_whole(names / name, lambda file: file.write(seal.encode()), unfinished_in=self.root)

    def _keep(self, wheel: WheelReader, folder: Path) -> bool:
        """See to it that the package is in its folder, and count it as installed now. False if somebody removed it."""
        if folder.is_dir() and _is_whole(wheel, folder):
            for path, entry in wheel.members.items():
                if entry.is_big:  # the seal speaks for the others
                    with working(f"verifying {wheel.facts.module_name}", entry.size) as work:
                        _write_checked(wheel, path, None, work)
        else:
            self._unpack(wheel, folder)
        try:
            os.utime(folder / wheel.facts.dist_info)
        except FileNotFoundError:
            return False
        return True

    def _unpack(self, wheel: WheelReader, folder: Path) -> None:
        make_private_folder(self.root)
        with one_at_a_time(self.root, folder.name), unfinished_folder(self.root) as temporary:
            if folder.is_dir() and _is_whole(wheel, folder):
                return  # another process has unpacked it meanwhile
            unpacked = temporary / "package"
            _make_folders(unpacked, wheel.members)
            earlier = _Earlier.of(self.root, wheel.facts)
            with working(
                f"installing {wheel.facts.module_name}", sum(one.size for one in wheel.members.values())
            ) as work:
                for path, entry in wheel.members.items():
                    recorded = wheel.record.get(path)
                    target = f"{unpacked}/{path}"
                    if recorded is None or not earlier.link(recorded, target, executable=entry.executable):
                        _write_checked(wheel, path, target, work)
                    else:
                        work.advance(entry.size)
            earlier.link_bytecode()
            if folder.is_dir() and not _is_whole(wheel, folder):
                from ...logger import Logger

                Logger.warning(f"{folder} is damaged: files are missing or cut. It is unpacked anew.")
                _rename_if_there(folder, temporary / "damaged")
            try:
                os.rename(unpacked, folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was first, with the same content
                    raise


def list_installed() -> list[InstalledPackage]:
    """The packages in the store, by name, the one installed last at the end."""
    return Store().packages()


def prune(*, keep: int = 3) -> list[InstalledPackage]:
    """Remove all but the last `keep` packages of each name from the store, and return what was removed.

    Meant for a time when nothing that uses them runs: a process that has loaded a removed package keeps what it has
    imported, but can import no more of it.
    """
    return Store().prune(keep=keep)


def _rename_if_there(folder: Path, to: Path) -> None:
    with suppress(FileNotFoundError):  # another process was first
        os.rename(folder, to)


def _make_folders(root: Path, members: dict[str, Any]) -> None:
    folders = {path.rpartition("/")[0] for path in members}
    for folder in list(folders):
        while folder:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for folder in sorted(folders | {""}):
        os.mkdir(f"{root}/{folder}")
        os.chmod(f"{root}/{folder}", 0o755)  # whatever the umask is; the store itself is nobody else's to enter


def _is_whole(wheel: WheelReader, folder: Path) -> bool:
    """Whether the files that were unpacked earlier are there, in their sizes: a power cut can leave them without bytes."""
    try:
        return all(
            os.stat(f"{folder}/{path}", follow_symlinks=False).st_size == entry.size
            for path, entry in wheel.members.items()
        )
    except OSError:
        return False


def _write_checked(wheel: WheelReader, path: str, target: str | None, work: Work) -> None:
    """Write a member to `target` (`None`: nowhere) and hash it on the way; it must be what RECORD says."""
    digest = hashlib.sha256()
    mode = 0o555 if wheel.members[path].executable else 0o444
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(target, flags, mode) if target is not None else None
    try:
        for chunk in wheel.chunks(path):
            digest.update(chunk)
            work.advance(len(chunk))
            while descriptor is not None and chunk:
                chunk = chunk[os.write(descriptor, chunk) :]
    finally:
        if descriptor is not None:
            os.fchmod(descriptor, mode)  # whatever the umask is
            os.close(descriptor)
    if path in wheel.record:
        wheel.check_hash(path, digest.hexdigest())


@dataclass(frozen=True)
class _Earlier:
    """The package of the same name that was installed last: what it has as well need not be written again."""

    folder: str
    record: dict[str, RecordedFile]
    installed_ns: int
    linked: list[tuple[str, str]] = field(default_factory=list)
    """The modules of it that were linked, and to where."""

    @classmethod
    def of(cls, root: Path, facts: PackageFacts) -> _Earlier:
        from .wheel import RecordedFile

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

    def link(self, wanted: RecordedFile, target: str, *, executable: bool) -> bool:
        """Link the same file to `target`, if there is one that nobody has touched since it was installed."""
        from .shared_library import LIBRARY_NAME

        here = self.record.get(_below(wanted.path))
        if here is None or here.sha256 != wanted.sha256 or LIBRARY_NAME.search(wanted.path):
            return False  # the loader of libraries knows them by their inode: two versions would be one, with one state
        source = f"{self.folder}/{here.path}"
        try:
            status = os.stat(source, follow_symlinks=False)
            unchanged = status.st_size == wanted.size and status.st_mtime_ns <= self.installed_ns
            if not unchanged or not stat.S_ISREG(status.st_mode) or bool(status.st_mode & 0o100) != executable:
                return False
            os.link(source, target)
        except OSError:  # gone, or a file system without links
            return False
        if source.endswith(".py"):
            self.linked.append((source, target))
        return True

    def link_bytecode(self) -> None:
        """Link what Python has compiled of the linked modules, so that the next version is compiled only where it differs.

        Python never writes into such a file: it puts a new one in its place, of which the other versions see nothing.
        """
        known: dict[str, dict[str, list[str]]] = {}
        for source, target in self.linked:
            folder, _, name = source.rpartition("/")
            if folder not in known:
                known[folder] = _bytecode_in(f"{folder}/__pycache__")
            to = f"{target.rpartition('/')[0]}/__pycache__"
            for file in known[folder].get(name.removesuffix(".py"), ()):
                # It is a head start: what is missing is compiled, and what the package has itself stays.
                with suppress(OSError):
                    os.makedirs(to, exist_ok=True)
                    os.link(f"{folder}/__pycache__/{file}", f"{to}/{file}")


def _bytecode_in(folder: str) -> dict[str, list[str]]:
    """The files of a `__pycache__`, by module: `module.cpython-311.pyc`; what is being written has another ending."""
    found: dict[str, list[str]] = {}
    with suppress(OSError):
        for file in os.listdir(folder):
            if file.endswith(".pyc"):
                found.setdefault(file.partition(".")[0], []).append(file)
    return found


def _below(path: str) -> str:
    return path.partition("/")[2]
