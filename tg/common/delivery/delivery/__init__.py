"""Packages: made, installed, loaded. Every name is fetched on first use (PEP 562): unpickling `ExampleJob` passes here."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true; importing `typing` would double the time this import takes
if TYPE_CHECKING:
    from ..runtime.entry_point import EntryPoint
    from ..runtime.errors import DeliveryError
    from ..runtime.unpickling import RenamingUnpickler
    from .checking import CheckReport
    from .containering import Containering
    from .dependencies import DependencyList
    from .inspecting import PackageReport, inspect_package
    from .installing import get_loader_from_installed_package, install_package_and_get_loader, uninstall
    from .packaging import Packaging
    from .store import InstalledPackage, list_installed, prune

_HOMES = {
    "CheckReport": ".checking",
    "Containering": ".containering",
    "DeliveryError": "..runtime.errors",
    "DependencyList": ".dependencies",
    "EntryPoint": "..runtime.entry_point",
    "InstalledPackage": ".store",
    "PackageReport": ".inspecting",
    "Packaging": ".packaging",
    "RenamingUnpickler": "..runtime.unpickling",
    "get_loader_from_installed_package": ".installing",
    "inspect_package": ".inspecting",
    "install_package_and_get_loader": ".installing",
    "list_installed": ".store",
    "prune": ".store",
    "uninstall": ".installing",
}

__all__ = [
    "CheckReport",
    "Containering",
    "DeliveryError",
    "DependencyList",
    "EntryPoint",
    "InstalledPackage",
    "PackageReport",
    "Packaging",
    "RenamingUnpickler",
    "get_loader_from_installed_package",
    "inspect_package",
    "install_package_and_get_loader",
    "list_installed",
    "prune",
    "uninstall",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home, __package__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
