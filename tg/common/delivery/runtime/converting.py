"""Taking an object over into another version: the same state, in that version's classes.

Classes of two versions are two classes, whatever they look like, so `isinstance` says no and enumerations are not equal. Where
an object of one is to be used by the other, it is pickled, and read with the names of the other.
"""

from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path
from typing import IO, Any

from .roots import Roots, local_prefix, roots_of_package

__all__ = ["convert"]


def convert(value: Any, to_module: str, roots: tuple[str, ...]) -> Any:
    """A copy of an object whose classes are those of the package that is loaded as `to_module`.

    What the object has of other packages, and of the local roots, is looked up there; everything else is what it was. Raises
    what pickling raises, `AttributeError` or `ModuleNotFoundError` where the package does not have what the object is of.
    """
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    # The copy may be changed without changing the original.
    copies = [bytearray(buffer.raw()) for buffer in buffers]
    return _Converter(io.BytesIO(pickled), copies, to_module, roots).load()


class _Converter(pickle.Unpickler):
    def __init__(self, file: IO[bytes], buffers: list[bytearray], to_module: str, roots: tuple[str, ...]) -> None:
        super().__init__(file, buffers=buffers)
        self._to_module = to_module
        self._roots = roots

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        inside = Roots.of(self._roots, local_prefix()).inside(module_name)
        if inside is None:
            top = module_name.partition(".")[0]
            inside = Roots.of(roots_of_package(top), f"{top}.").inside(module_name) if _is_package(top) else None
        return super().find_class(module_name if inside is None else f"{self._to_module}.{inside}", global_name)


def _is_package(module: str) -> bool:
    """Whether a top-level module is a package of ours."""
    return any(Path(entry, "package.json").is_file() for entry in getattr(sys.modules.get(module), "__path__", ()))
