"""Unpickling under another name: a pickle that says `tg.x` is read as if it said `UID.tg.x`, or the other way round.

Pickles inside a package need none of this: they carry the package's own names, so plain `pickle.load` reads them.
This is for the rest: results that a delivered version wrote, read into the current `tg`; and versions that were
replaced and live on under another name.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from typing import IO, Any

from .names import lies_in, rename

__all__ = ["RenamingUnpickler"]


class RenamingUnpickler(pickle.Unpickler):
    """Reads a pickle as if every module `from_module` in it, and all below, were `to_module`.

    `alike` are more modules that are renamed, and all below them. `replacements` are for what has moved since: applied
    after that, so written in the names of `to_module`, the first that fits wins. A key is a module and all below it
    (`tg.old_place`), or one global (`tg.place:OldName`); a value is the same on the new side. `buffers` are those of `pickle.load` (PEP 574).
    """

    def __init__(
        self,
        file: IO[bytes],
        from_module: str,
        to_module: str,
        *,
        alike: Mapping[str, str] | None = None,
        replacements: Mapping[str, str] | None = None,
        buffers: Iterable[Any] | None = None,
    ) -> None:
        super().__init__(file, buffers=buffers)
        self._modules = {from_module: to_module, **(alike or {})}
        self._replacements = dict(replacements or {})

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Where the pickle's global is looked up; see `pickle.Unpickler.find_class`."""
        return super().find_class(*self._renamed(module_name, global_name))

    def _renamed(self, module: str, name: str) -> tuple[str, str]:
        for old, new in self._modules.items():
            if lies_in(module, old):
                module = rename(module, old, new)
                break
        for old, new in self._replacements.items():
            if old == f"{module}:{name}":
                new_module, _, new_name = new.partition(":")
                return new_module, new_name or name
            if lies_in(module, old):
                return rename(module, old, new), name
        return module, name
