"""`pickle` for the source of a package: reads what was pickled before its classes had the package's names.

Files of data beside the source may be pickles, written where `mycompany.x` was called so. Relocated source imports this
module in the place of `pickle`: where such a file says `mycompany.x`, the package's own is meant, as it is where the
source says so. Everything else is that of `pickle`.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from functools import lru_cache
from typing import IO, Any

from .roots import Roots, local_prefix, roots_of_package

__all__ = ["Unpickler", "load", "loads"]


def __getattr__(name: str) -> Any:
    return getattr(pickle, name)


class Unpickler(pickle.Unpickler):
    """`pickle.Unpickler`, for the source of this package."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """See `pickle.Unpickler.find_class`."""
        prefix = local_prefix()
        inside = Roots.of(_roots_of(prefix.partition(".")[0]), "").inside(module_name) if prefix else None
        if inside is not None:
            module_name = prefix + inside
        return super().find_class(module_name, global_name)


def load(
    file: IO[bytes],
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = None,
) -> Any:
    """`pickle.load`, for the source of this package."""
    return Unpickler(file, fix_imports=fix_imports, encoding=encoding, errors=errors, buffers=buffers).load()


def loads(
    data: Any,
    /,
    *,
    fix_imports: bool = True,
    encoding: str = "ASCII",
    errors: str = "strict",
    buffers: Iterable[Any] | None = None,
) -> Any:
    """`pickle.loads`, for the source of this package."""
    if isinstance(data, str):
        raise TypeError("a bytes-like object is required, not 'str'")
    return load(io.BytesIO(data), fix_imports=fix_imports, encoding=encoding, errors=errors, buffers=buffers)


_roots_of = lru_cache(maxsize=8)(roots_of_package)
