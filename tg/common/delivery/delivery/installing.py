"""Installing a package for use in this process, and finding those that are installed.

Nothing is installed into site-packages but missing dependencies: the package goes to the store, and its folder joins
`sys.path`. What it needs is looked at before anything of it is imported.
"""

from __future__ import annotations

from importlib.machinery import PathFinder
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from ...logger import Logger
from ..runtime.entry_point import EntryPoint
from ..runtime.errors import IncompatiblePackage, PackageNotFound
from ..runtime.module_tree import ModuleTree
from ..trust.policy import Policy
from .claims import claim_of_pip
from .facts import PackageFacts
from .store import InstalledPackage, Store

if TYPE_CHECKING:
    from ..isolation.entry_point import IsolatedEntryPoint

__all__ = ["get_loader_from_installed_package", "install_package_and_get_loader", "uninstall"]


@overload
def install_package_and_get_loader(
    package_location: str | PathLike[str],
    *,
    silent: bool = False,
    install_dependencies: bool = True,
    policy: Policy | None = None,
    isolated: Literal[False] = False,
) -> EntryPoint: ...


@overload
def install_package_and_get_loader(
    package_location: str | PathLike[str],
    *,
    silent: bool = False,
    policy: Policy | None = None,
    isolated: Literal[True],
) -> IsolatedEntryPoint: ...


@overload
def install_package_and_get_loader(
    package_location: str | PathLike[str],
    *,
    silent: bool = False,
    policy: Policy | None = None,
    isolated: bool,
) -> EntryPoint: ...


def install_package_and_get_loader(
    package_location: str | PathLike[str],
    *,
    silent: bool = False,
    install_dependencies: bool = True,
    policy: Policy | None = None,
    isolated: bool = False,
) -> EntryPoint:
    """Install a package file and return its entry point.

    Installing what is installed already does nothing. When this process has imported another content of the same
    UID, the new one takes its place: new loads get the new code, objects of the old keep theirs.

    With `isolated`, this process stays as it is: nothing is installed into it, and no UID is taken over. The package is loaded
    into a worker process, with an environment of its own that has what it needs, and `load_resource` gives proxies.

    With `install_dependencies`, requirements that are missing are installed with uv, or pip where uv is not there.
    `policy` says which packages are trusted; without one it is the machine's (`Policy.of_machine`), and where that says
    nothing, what this user has made on this machine. Raises `UntrustedPackage` for others, `PackageRejected` for a file that is not the package that was made, `IncompatiblePackage` when it needs a
    newer Python or a newer delivery, `DependencyProblem` when requirements are missing or conflict with what is
    installed; nothing has been imported then.
    """
    if not isinstance(package_location, (str, PathLike)):
        raise TypeError(
            f"package_location is of {type(package_location)}. Give the file of a package: packaging.package_location, after "
            f"packaging.make_package()."
        )
    if isolated and not install_dependencies:
        raise ValueError(
            "an isolated package has an environment of its own, with what it needs. Leave install_dependencies out."
        )
    package = Store().install(Path(package_location).absolute(), policy=policy)
    if isolated:
        return _isolated_entry_point(package, silent=silent)
    if package.facts.requirements():
        from .package_locks import lock_of
        from .requirements import install_missing

        lock = lock_of(package.facts, package.folder)
        install_missing(package.facts, lock, install=install_dependencies, silent=silent)
    return _entry_point(package, silent=silent)


def get_loader_from_installed_package(
    name: str, version: str | None = None, *, silent: bool = True, policy: Policy | None = None
) -> EntryPoint:
    """The entry point of a package that is installed: in the store, or by pip.

    `name` is a UID (`example_job__0_0_0`) or the name given to `Packaging`. What the store has was trusted when it was
    installed. It is read again, all of it, and judged again, where a `policy` is given or the machine has one
    (`Policy.configured`); what pip installed, nobody has judged before. Raises `PackageRejected` when it is not what was installed,
    `UntrustedPackage`, `PackageNotFound` when there is none, or when there are several versions and none is named;
    `IncompatiblePackage` when it is for another Python.
    """
    policy = Policy.configured() if policy is None else policy
    package = Store().find(name, version)
    if package is not None:
        _check_fits(package.facts, package.folder)
        if policy is not None:
            Store().check(package, policy=policy)
        return _entry_point(package, silent=silent)
    folder = _folder_from_pip(name, version)
    if folder is None:
        raise PackageNotFound(
            f"no package {name!r}{f' of version {version}' if version else ''} is installed, neither in {Store().root} nor by "
            f"pip. install_package_and_get_loader(file) installs one."
        )
    facts = PackageFacts.of_folder(folder)
    if facts is not None:
        _check_fits(facts, folder)
    if policy is not None:
        policy.check(claim_of_pip(folder), is_new=False)
    return EntryPoint.of_folder(folder)


def uninstall(package: str | EntryPoint | InstalledPackage, version: str | None = None) -> None:
    """Take a package out of this process and out of the store.

    `package` is a UID, the name given to `Packaging`, an entry point, or an entry of `list_installed()`. Raises
    `PackageNotFound` when the store has no such package, but not for an entry that is gone meanwhile; what pip installed, pip
    uninstalls.
    """
    store = Store()
    if isinstance(package, InstalledPackage):
        found: InstalledPackage | None = package
    elif isinstance(package, EntryPoint):
        folder = package.resources_location.parent
        found = next((one for one in store.packages() if one.folder == folder), None)
    else:
        found = store.find(package, version)
    if found is None:
        raise PackageNotFound(f"{package} is not in {store.root}. list_installed() shows what is.")
    if isinstance(package, EntryPoint):
        package.unload()  # the worker as well, where it has one
    ModuleTree(found.module_name, found.folder).unload()
    store.remove(found)


def _entry_point(package: InstalledPackage, *, silent: bool) -> EntryPoint:
    replaced = ModuleTree(package.module_name, package.folder).take_over()
    if not silent:
        Logger.info(
            f"{package.module_name} is in the store and ready for this process"
            + (" and takes the place of the one loaded" if replaced else "")
        )
    return EntryPoint(**package.facts.properties, resources_location=package.folder / "resources")


def _check_fits(facts: PackageFacts, folder: Path) -> None:
    """Raise `IncompatiblePackage` for what another Python, or another machine with the same disk, has installed."""
    unfit = facts.unfit
    if unfit is not None:
        raise IncompatiblePackage(f"{facts.module_name} is installed in {folder}, but {unfit}.", path=folder)


def _isolated_entry_point(package: InstalledPackage, *, silent: bool) -> IsolatedEntryPoint:
    from ..isolation.entry_point import IsolatedEntryPoint
    from .package_locks import lock_of

    entry_point = IsolatedEntryPoint(
        **package.facts.properties,
        resources_location=package.folder / "resources",
        requirements=package.facts.requirements(),
        lock=lock_of(package.facts, package.folder),
    )
    entry_point.start()
    if not silent:
        Logger.info(f"{package.module_name} is in the store and ready in a process of its own")
    return entry_point


def _folder_from_pip(name: str, version: str | None) -> Path | None:
    """The folder `UID/` in site-packages, found by UID or by the name of the distribution."""
    from importlib.metadata import PackageNotFoundError, distribution

    modules = [name]
    try:
        found = distribution(name)
    except PackageNotFoundError:
        pass
    else:
        modules += sorted(
            {str(file).split("/")[0] for file in found.files or () if str(file).endswith("/package.json")}
        )
    for module in modules:
        if not module.isidentifier():
            continue
        spec = PathFinder.find_spec(module)  # what is loaded under that name may come from elsewhere, and be gone
        for place in (spec.submodule_search_locations or ()) if spec else ():
            facts = PackageFacts.of_folder(Path(place))
            if facts is not None and version in (None, facts.uid.version):
                return Path(place)
    return None
