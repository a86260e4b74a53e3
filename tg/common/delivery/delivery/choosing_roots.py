"""Which roots travel: those that were named, or those that the payload's classes come from; `tg` in any case."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ..runtime.errors import InvalidName, UndeliverablePayload
from ..runtime.roots import Roots, local_prefix, roots_of_package
from .origins import Origins
from .pickling import PickledResource, pickle_resource, roots_outside
from .source_tree import portions_of

__all__ = ["checked_roots", "pickle_payload"]

_TAKEN = frozenset({"resources", "distributions", "locks", "aside"})
"""What a package has beside its roots."""


def checked_roots(names: Iterable[str] | None) -> tuple[str, ...] | None:
    """The names that were given. Raises `InvalidName` for what cannot be a root."""
    if names is None:
        return None
    if isinstance(names, str):
        raise TypeError(f"roots={names!r} is one text. Give a list of top-level packages: ['mycompany'].")
    given = tuple(names)
    for name in given:
        top = name.partition(".")[0]
        if name != top:
            raise InvalidName(
                f"root {name!r} is inside of {top!r}. A root is a top-level package, with all that is in it.",
                given=name,
                nearest=top,
            )
        if not name.isidentifier() or name in _TAKEN or name.startswith("__"):
            raise InvalidName(f"root {name!r} is not a name that a package's root can have.", given=name)
        if name in sys.stdlib_module_names:
            raise InvalidName(
                f"root {name!r} is a module of Python itself, which is there wherever Python is.", given=name
            )
    return given


def pickle_payload(
    payload: Mapping[str, Any], names: Iterable[str] | None, distributions: frozenset[str]
) -> tuple[Origins, tuple[PickledResource, ...]]:
    """Pickle all objects; where no roots are named, those that the objects' classes come from are found on the way.

    Raises `UndeliverablePayload` with all that cannot be delivered, `UndeliverableSource` when a root is not there.
    """
    roots = Roots.of(_roots_of_this_package() if names is None else names, local_prefix())
    origins = Origins(roots, portions_of(roots), distributions)
    try:
        return origins, _pickled(payload, origins)
    except UndeliverablePayload:
        # Only now, since looking through everything once more is what a payload without such classes is spared.
        more = (
            set() if names is not None else {one for value in payload.values() for one in roots_outside(value, origins)}
        )
        if not more:
            raise
    roots = Roots.of((*roots.names, *more), roots.prefix)
    origins = Origins(roots, portions_of(roots), distributions)
    return origins, _pickled(payload, origins)


def _pickled(payload: Mapping[str, Any], origins: Origins) -> tuple[PickledResource, ...]:
    return tuple(pickle_resource(key, payload[key], origins) for key in sorted(payload))


def _roots_of_this_package() -> tuple[str, ...]:
    """Inside of a delivered package: all that it brought, since its source names them relatively."""
    prefix = local_prefix()
    return roots_of_package(prefix.partition(".")[0]) if prefix else ()
