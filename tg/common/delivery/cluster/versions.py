"""The versions that a worker of a cluster has loaded: any number at once, each from the node's store."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...locations import Loc
from ..delivery.requirements import unmet_requirements
from ..delivery.storage import storing
from ..delivery.store import InstalledPackage, Store
from ..runtime.entry_point import EntryPoint
from ..runtime.errors import DependencyProblem, IncompatiblePackage, PackageNotFound
from ..runtime.module_tree import ModuleTree
from ..runtime.whole_files import make_private_folder, one_at_a_time, write_whole
from ..trust.policy import Policy

__all__ = ["Fetch", "Version", "Versions", "has_seal", "installed"]

Fetch = Callable[[], Iterable[Any]]
"""Gives the bytes of the package file, in pieces."""

_KEPT = 8


@dataclass
class Version:
    """A version in this process: `in_use` counts the tasks that have it, `jobs` has one job for each thread."""

    package: InstalledPackage
    entry_point: EntryPoint
    in_use: int = 0
    jobs: dict[int, Any] = field(default_factory=dict)

    def job(self) -> Any:
        """The job, loaded once for each thread."""
        thread = threading.get_ident()
        if thread not in self.jobs:
            self.jobs[thread] = self.entry_point.load_resource("job")
        return self.jobs[thread]

    @property
    def loaded_as(self) -> str:
        """What its tree is called in this process at the moment."""
        return ModuleTree(self.package.module_name, self.package.folder).current_name()


class Versions:
    """All of this process. The last 8 are kept, beside those that are in use; others are unloaded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: OrderedDict[str, Version] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}

    @contextmanager
    def using(self, seal: str, file: str, fetch: Fetch, *, check: bool = True) -> Iterator[Version]:
        """The version of this seal, installed and ready to be loaded; what it requires is there, if that is to be checked.

        Raises what `Store.install` raises, and `DependencyProblem`.
        """
        with self._lock:
            making = self._making.setdefault(seal, threading.Lock())
        with making:  # tasks of other versions go on while a big one is fetched
            version = self._take(seal)
            if version is None:
                version = _ready(seal, file, fetch, check=check)
                self._take(seal, version)
        try:
            yield version
        finally:
            with self._lock:
                version.in_use -= 1

    def _take(self, seal: str, made: Version | None = None) -> Version | None:
        """Count one more task of a version, so that it stays loaded; of those without a task, all but the last go."""
        with self._lock:
            version = made or self._versions.get(seal)
            if version is None or (made is None and not version.package.folder.is_dir()):
                return None  # not loaded, or somebody has removed it from the store
            self._versions[seal] = version
            self._versions.move_to_end(seal)
            version.in_use += 1
            for other in [one for one, held in self._versions.items() if not held.in_use][:-_KEPT]:
                self._versions.pop(other).entry_point.unload()
            return version


def installed(seal: str, file: str, fetch: Fetch) -> InstalledPackage:
    """The package in the node's store; it is fetched once for all workers of the node, unless `file` is it, for the node as well.

    What is in the store was trusted when it was installed, and is judged again where the node has a policy of its own. Where
    it has none, the package of this seal is trusted: the driver has judged it, and the node does what the driver says.
    """
    store, policy = Store(), Policy.configured()
    folder = Loc.cluster
    with storing("a package from the cluster cannot be kept", folder):
        make_private_folder(folder)
        with one_at_a_time(folder, seal):
            found = store.of_seal(seal)
            if found is not None:
                if found.facts.unfit is not None:
                    raise IncompatiblePackage(f"{found.module_name} {found.facts.unfit}.", path=found.folder)
                if policy is not None:
                    store.check(found, policy=policy)
                return found
            trusting = policy or Policy.exactly(f"sha256:{seal}")
            if has_seal(file, seal):
                return store.install(Path(file), policy=trusting)
            fetched = folder / f"{seal}.whl"
            try:
                write_whole(fetched, lambda opened: [opened.write(chunk) for chunk in fetch()])
                found = store.install(fetched, policy=trusting)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(fetched)
    if found.seal != seal:
        raise PackageNotFound(
            f"the cluster has given {found.module_name}, {found.seal}, for {seal}. Start the run again."
        )
    return found


def has_seal(file: str, seal: str) -> bool:
    """Whether there is a file that says to be the package with this seal; that it is shows when it is installed."""
    try:
        with open(file, "rb") as opened:
            opened.seek(-len(seal), os.SEEK_END)
            return opened.read() == seal.encode()
    except OSError:
        return False


def _ready(seal: str, file: str, fetch: Fetch, *, check: bool) -> Version:
    package = installed(seal, file, fetch)
    if check and package.facts.requirements():
        missing, conflicts = unmet_requirements(package.facts)
        if missing or conflicts:
            raise DependencyProblem(
                f"{package.module_name} cannot run in the environment of a worker: "
                + "; ".join([*(f"{one} is not installed" for one in missing), *conflicts]),
                problems=[*missing, *conflicts],
            )
    ModuleTree(package.module_name, package.folder).take_over()
    folder: Path = package.folder / "resources"
    return Version(package, EntryPoint(**package.facts.properties, resources_location=folder))
