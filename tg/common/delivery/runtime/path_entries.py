"""Files of a package that are run under another name: from a folder of it that is put on `sys.path`, by their path, or by `exec`.

Such a module is called `helper` and not `mycompany.scripts.helper`, and has no package, or one that ends below the roots. Its
relocated source says `from ..x import y`, which means nothing there. So `__package__` and `__spec__.parent` say where the file
lies, `UID.mycompany.scripts`; its name stays what it was imported as. A module that imports within a package of that other name
stays as it is, since that is what its own relative imports mean.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import wraps
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

from .roots import local_prefix

__all__ = ["executed", "known", "telling"]

_RELATIVE = re.compile(rb"\bfrom[ \t]+(\.+)")
_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


def known(entry: Any) -> Any:
    """What is about to be put on `sys.path`, a folder or several, as it is; those of this package are seen to."""
    for folder in entry if isinstance(entry, (list, tuple)) else (entry,):
        if isinstance(folder, (str, os.PathLike)) and _package_of(folder) is not None:
            path = os.fspath(folder)
            sys.path_importer_cache[path] = _Finder(path, *_LOADERS)
    return entry


def telling(function: Callable[..., Any]) -> Callable[..., Any]:
    """`spec_from_file_location`, whose modules know where in this package their files lie."""

    @wraps(function)
    def told(*arguments: Any, **named: Any) -> Any:
        return _told(function(*arguments, **named))

    return told


def executed(code: Any, space: Any, *more: Any) -> tuple[Any, ...]:
    """What to give to `exec`: where the code of a file of this package is run in a space of no package, that is told."""
    if (
        isinstance(code, CodeType)
        and isinstance(space, dict)
        and space.get("__spec__") is space.get("__package__") is None
    ):
        name = str(space.get("__name__") or "__main__")
        told = _told(spec_from_file_location(name, code.co_filename, loader=SourceFileLoader(name, code.co_filename)))
        if type(told) is _SpecOfFile:
            space.update(__spec__=told, __package__=told.parent)
    return code, space, *more


class _Finder(FileFinder):
    """Finds the modules in one folder of the package, which is the only one that asks it."""

    def find_spec(self, fullname: str, target: Any = None) -> ModuleSpec | None:
        return _told(super().find_spec(fullname, target))


class _SpecOfFile(ModuleSpec):
    """The spec of a module whose package is the one that its file lies in."""

    lies_in = ""

    @property
    def parent(self) -> str:
        return self.lies_in


def _told(spec: ModuleSpec | None) -> ModuleSpec | None:
    if type(spec) is not ModuleSpec or not isinstance(spec.loader, SourceFileLoader) or not spec.origin:
        return spec
    package = _package_of(os.path.dirname(spec.origin))
    if package is None or spec.name.startswith(local_prefix()):
        return spec
    known(list(spec.submodule_search_locations or ()))
    if not _needs_package(spec):
        return spec
    told = _SpecOfFile(spec.name, spec.loader, origin=spec.origin, loader_state=spec.loader_state)
    told.lies_in = package
    told.submodule_search_locations = spec.submodule_search_locations
    told.has_location, told.cached = spec.has_location, spec.cached
    return told


def _needs_package(spec: ModuleSpec) -> bool:
    """Whether a module refers to what lies above the package that its name says it is in, and to nothing in that."""
    try:
        source = Path(spec.origin or "").read_bytes()
    except OSError:
        return False
    depth = len(spec.parent.split(".")) if spec.parent else 0
    levels = [len(dots) for dots in _RELATIVE.findall(source)]
    above = b"__spec__.parent" in source or any(level > depth for level in levels)
    return above and all(level > depth for level in levels)


def _package_of(folder: str | os.PathLike[str]) -> str | None:
    """What the package that a folder is would be called; `None` for one outside of this package."""
    uid = local_prefix()[:-1]
    if not uid:
        return None
    below = os.path.relpath(os.path.realpath(folder), os.path.realpath(sys.modules[uid].__path__[0]))
    parts = [] if below == os.curdir else below.split(os.sep)
    return ".".join([uid, *parts]) if all(part.isidentifier() for part in parts) else None
