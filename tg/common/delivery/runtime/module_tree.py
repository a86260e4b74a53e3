"""Module trees: one installed version as the interpreter has it, and exchanging one for another while it runs.

Relocated code refers to its own tree only by relative imports, so a tree works under any name. That is what hot
module replacement rests on:

1. `sys.modules[UID]`, and all below it, is the tree that new loads of the UID get.
2. A tree that another takes the place of is not thrown away but set aside: its modules move, in one step under the
   import lock, to the name `UID__at_<hash of its folder>`. Their `__name__`, `__package__` and `__spec__`, and the
   `__module__` of their classes and functions, move with them. A function of the old version that imports a module
   of its tree only now resolves the relative import by those, and so from its own folder.
3. An entry point whose tree is not the current one loads under that other name from the start.
4. The other name can be imported by child processes as well: a small package beside the tree points to it.

All of it lives in `sys.modules` and `sys.path`, which are shared by all copies of this file in one process.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import linecache
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from .loaded_modules import importing_paused, move_loaded, remove_loaded
from .whole_files import write_whole

__all__ = ["ModuleTree"]

_ASIDE = "aside"
_STORE_FOLDER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class ModuleTree:
    """The modules of one package: the UID, and the folder `UID/` they come from."""

    uid: str
    folder: Path

    @property
    def alias(self) -> str:
        """The module name of this tree while another one has the UID."""
        return f"{self.uid}__at_{hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]}"

    def current_name(self) -> str:
        """The name this tree goes by at the moment: the UID, unless another tree has it or is about to have it."""
        loaded = sys.modules.get(self.uid)
        if loaded is not None:
            return self.uid if _folder_of(loaded) == str(self.folder) else self.alias
        if self.alias in sys.modules or (str(self.folder.parent) not in sys.path and self._others_on_path()):
            return self.alias
        return self.uid

    def take_over(self) -> bool:
        """Make this tree the one that has the UID; whichever had it is set aside. Returns whether one had to be.

        The tree's folder joins `sys.path`, so that `multiprocessing` and joblib children find it as well. Raises
        `PackageBusy` when the tree that has the UID is being imported by the calling thread, or by others for too long.
        """
        parent = str(self.folder.parent)
        while True:
            with importing_paused(self.uid):
                loaded = sys.modules.get(self.uid)
                other = _folder_of(loaded) if loaded is not None else None
                replaced = other is not None and other != str(self.folder)
                if other is not None and replaced and not ModuleTree(self.uid, Path(other))._set_aside():
                    continue
                for entry in self._others_on_path():
                    sys.path.remove(entry)
                if parent not in sys.path:
                    sys.path.append(parent)
                sys.path_importer_cache.pop(parent, None)
                if not _is_found_in(self.uid, parent):  # pip has put another content of this UID before us
                    sys.path.remove(parent)
                    sys.path.insert(0, parent)
                return replaced

    def make_importable(self) -> str:
        """See to it that the tree can be imported, under the name that is returned."""
        name = self.current_name()
        if name == self.alias:
            self._make_alias_importable()
        elif str(self.folder.parent) not in sys.path:
            sys.path.append(str(self.folder.parent))
        return name

    def unload(self) -> None:
        """Take the tree out of the interpreter; objects that are still held keep their classes and functions. Raises `PackageBusy`."""
        parent = str(self.folder.parent)
        for name in (self.uid, self.alias):
            with importing_paused(name):
                loaded = sys.modules.get(name)
                if loaded is None or _folder_of(loaded) == str(self.folder):
                    remove_loaded(name)
        if _is_store_folder(parent):
            for entry in (parent, self._aside):
                while entry in sys.path:
                    sys.path.remove(entry)
        ours = (str(self.folder) + os.sep, self._aside + os.sep)
        exact = (str(self.folder), self._aside, *((parent,) if _is_store_folder(parent) else ()))
        for cache in (sys.path_importer_cache, linecache.cache):
            for key in list(cache):
                if key in exact or key.startswith(ours):
                    cache.pop(key, None)

    def forget_missing_folders(self) -> bool:
        """Let Python look again for folders of the tree that were not there when it looked, and are now. True if any are.

        What it has not found once, it does not look for again (`sys.path_importer_cache`).
        """
        own = (str(self.folder), self._aside)
        missed = [path for path, finder in list(sys.path_importer_cache.items()) if finder is None]
        there = [path for path in missed if path.startswith(own) and os.path.isdir(path)]
        for path in there:
            sys.path_importer_cache.pop(path, None)
        return bool(there)

    @property
    def _aside(self) -> str:
        return str(self.folder.parent / _ASIDE)

    def _set_aside(self) -> bool:
        """Let the loaded modules of this tree go by the alias; see `move_loaded` for what is returned."""
        self._make_alias_importable()
        return move_loaded(self.uid, self.alias)

    def _make_alias_importable(self) -> None:
        """Let the tree be imported under its alias: in child processes as well, where it lies in the store."""
        if not _is_store_folder(str(self.folder.parent)):  # what pip installed is not ours to write into
            if self.alias not in sys.modules:
                module = ModuleType(self.alias, "A version that another one took the place of.")
                module.__spec__ = importlib.machinery.ModuleSpec(self.alias, None, is_package=True)
                module.__path__ = [str(self.folder)]
                sys.modules[self.alias] = module
            return
        package = Path(self._aside, self.alias)
        if not (package / "__init__.py").exists():
            package.mkdir(parents=True, exist_ok=True)
            text = (
                '"""The same tree under another name, while another version has its own."""\n'
                "import os.path\n"
                f"__path__ = [os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(__file__))), {self.uid!r})]\n"
            )
            write_whole(package / "__init__.py", lambda file: file.write(text.encode()))
        if self._aside not in sys.path:
            sys.path.append(self._aside)
            sys.path_importer_cache.pop(self._aside, None)

    def _others_on_path(self) -> list[str]:
        """Store folders on `sys.path` that hold another content of this UID."""
        mine = str(self.folder.parent)
        return [
            entry
            for entry in sys.path
            if entry != mine and _is_store_folder(entry) and os.path.isdir(os.path.join(entry, self.uid))
        ]


def _folder_of(module: ModuleType) -> str | None:
    path = getattr(module, "__path__", None)
    return next(iter(path), None) if path is not None else None


def _is_store_folder(entry: str) -> bool:
    """Store folders are named by a digest and hold one package each; site-packages are neither."""
    return _STORE_FOLDER.fullmatch(os.path.basename(entry)) is not None


def _is_found_in(uid: str, parent: str) -> bool:
    spec = importlib.machinery.PathFinder.find_spec(uid, sys.path)
    return spec is not None and spec.origin is not None and os.path.dirname(os.path.dirname(spec.origin)) == parent
