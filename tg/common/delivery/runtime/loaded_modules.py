"""The modules of one tree as the interpreter holds them, and moving all of them to another name in one step.

Other threads may be importing from the tree meanwhile. A relative import first resolves to an absolute name, by the
`__spec__` of the module it stands in, and is looked up under that name later: a thread that is between the two would
look up a name that has changed hands. So:

1. Under the interpreter's import lock no import starts. One that is under way, or waits for that lock, shows in the stack of
   its thread, as a frame of `importlib` that has the absolute name.
2. Modules are moved only while no such frame names the tree. Moving takes a moment, in which a thread may get there;
   when one has, the move is undone, so that the thread finds what it looks for, and is tried again.
"""

from __future__ import annotations

import _imp
import importlib.machinery
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, FunctionType, ModuleType

from .errors import PackageBusy
from .names import lies_in, rename

__all__ = ["importing_paused", "move_loaded", "remove_loaded"]

_WAIT_SECONDS = 60.0


@contextmanager
def importing_paused(root: str) -> Iterator[None]:
    """Hold the import lock at a moment when nothing below `root` is being imported.

    Raises `PackageBusy` when the calling thread itself is importing it, or when others do not come to an end.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        _imp.acquire_lock()
        busy = _imports_under_way(root)
        if not busy:
            break
        _imp.release_lock()
        mine = busy.get(threading.get_ident())
        if mine or time.monotonic() > deadline:
            name = mine or next(iter(busy.values()))
            raise PackageBusy(
                f"{root} cannot be exchanged or unloaded while {name} is being imported"
                + (
                    " by the same thread. Do it after the import."
                    if mine
                    else f", for {_WAIT_SECONDS:.0f} seconds now. Try again when that import is over."
                )
            )
        time.sleep(0.001)
    try:
        yield
    finally:
        _imp.release_lock()


def move_loaded(root: str, new_root: str) -> bool:
    """Give `root` and all modules below it the name `new_root`; to be called while importing is paused.

    False: a thread came to look for the old names meanwhile. Everything is as before; let it go on, and try again.
    """
    modules = _modules_below(root)
    for module in modules.values():
        _fix_path(module)
    replaced = {new: sys.modules.get(new) for new in (rename(name, root, new_root) for name in modules)}
    for name, module in modules.items():
        sys.modules[rename(name, root, new_root)] = module
    for name, module in modules.items():
        _rename_module(module, name, rename(name, root, new_root))
    for name in modules:
        del sys.modules[name]
    if not _imports_under_way(root):
        return True
    sys.modules.update(modules)
    for name, module in modules.items():
        _rename_module(module, rename(name, root, new_root), name)
    for name, before in replaced.items():
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
    return False


def remove_loaded(root: str) -> None:
    """Take `root` and all modules below it out of `sys.modules`."""
    for name in _modules_below(root):
        del sys.modules[name]


def _modules_below(root: str) -> dict[str, ModuleType]:
    return {name: module for name, module in list(sys.modules.items()) if lies_in(name, root)}


def _fix_path(module: ModuleType) -> None:
    """A folder without `__init__.py` has a path that is computed anew from its parent's name whenever it is asked for."""
    if hasattr(module, "__path__") and module.__spec__ is not None:
        module.__path__ = module.__spec__.submodule_search_locations = list(module.__path__)


def _rename_module(module: ModuleType, name: str, new_name: str) -> None:
    spec = module.__spec__
    if spec is not None:
        renamed = importlib.machinery.ModuleSpec(new_name, spec.loader, origin=spec.origin)
        renamed.submodule_search_locations = spec.submodule_search_locations
        renamed.has_location = spec.has_location
        renamed.cached = spec.cached
        if isinstance(spec.loader, (importlib.machinery.SourceFileLoader, importlib.machinery.ExtensionFileLoader)):
            spec.loader.name = new_name  # file loaders refuse to serve another name than their own
        module.__spec__ = renamed
        module.__package__ = renamed.parent
    module.__name__ = new_name
    for value in list(vars(module).values()):
        _rename_definitions(value, name, new_name)


def _rename_definitions(value: object, name: str, new_name: str) -> None:
    """Classes and functions defined in a renamed module say so, and can be pickled as what they are."""
    if isinstance(value, FunctionType) and value.__module__ == name:
        value.__module__ = new_name
    elif isinstance(value, type) and vars(value).get("__module__") == name:
        try:
            value.__module__ = new_name
        except (AttributeError, TypeError):  # a class that allows no change keeps its old name
            return
        for inner in list(vars(value).values()):
            if isinstance(inner, type):
                _rename_definitions(inner, name, new_name)


def _imports_under_way(root: str) -> dict[int, str]:
    """The threads that are importing something below `root`, or are about to, with its name."""
    found = {}
    for thread, frame in sys._current_frames().items():
        name = _imported_in(frame, root)
        if name is not None:
            found[thread] = name
    return found


def _imported_in(frame: FrameType | None, root: str) -> str | None:
    machinery = (vars(importlib._bootstrap), vars(importlib))
    while frame is not None:
        if any(frame.f_globals is namespace for namespace in machinery):
            for value in frame.f_locals.values():
                if isinstance(value, str) and lies_in(value, root):
                    return value
        frame = frame.f_back
    return None
