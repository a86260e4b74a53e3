"""Which roots travel: those that were named, or those that the payload's classes come from; `tg` in any case."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.errors import InvalidName, UndeliverablePayload
from ..runtime.roots import MAIN, Roots, is_main, local_prefix, roots_of_package
from .imports import imports_of
from .origins import Origins
from .pickling import PickledResource, pickle_resource, roots_outside
from .source_tree import SourceFile, portions_of

if TYPE_CHECKING:
    from .main_source import MainSource

__all__ = ["checked_roots", "made_files", "pickle_payload"]

_TAKEN = frozenset({"resources", "distributions", "locks"})
"""What a package has beside its roots."""


def checked_roots(names: Iterable[str] | None) -> tuple[str, ...] | None:
    """The names that were given. Raises `InvalidName` for what cannot be a root."""
    if names is None:
        return None
    if isinstance(names, str):
        raise TypeError(f"roots={names!r} is one text. Give a list of top-level packages: ['mycompany'].")
    given = tuple(names)
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"roots has {name!r} in it. Give names: ['mycompany'].")
        top = name.partition(".")[0]
        if os.sep in name:
            raise InvalidName(
                f"root {name!r} is a path. Give the name that it is imported by, and have the folder above it on sys.path.",
                given=name,
                nearest=os.path.basename(os.path.normpath(name)),
            )
        if name != top:
            raise InvalidName(
                f"root {name!r} is inside of {top!r}. A root is a top-level package, with all that is in it.",
                given=name,
                nearest=top,
            )
        if not name.isidentifier() or name in _TAKEN or name.startswith("__"):
            raise InvalidName(
                f"root {name!r} is not a name that a package's root can have. Give the name that it is imported by.",
                given=name,
            )
        if name in sys.stdlib_module_names:
            raise InvalidName(
                f"root {name!r} is a module of Python itself, which is there wherever Python is.", given=name
            )
    return given


def pickle_payload(
    payload: Mapping[str, Any], names: Iterable[str] | None, distributions: frozenset[str]
) -> tuple[Origins, tuple[PickledResource, ...]]:
    """Pickle all objects; where no roots are named, those that the objects' classes come from are found on the way.

    What is run is a root whenever a class comes from it, as `tg` is one; where no roots are named, so are the modules of the
    project that it imports. Raises `UndeliverablePayload` with all that cannot be delivered, `UndeliverableSource` when a root
    is not there.
    """
    origins = _origins_of(_roots_of_this_package() if names is None else names, local_prefix(), distributions)
    try:
        return origins, _pickled(payload, origins)
    except UndeliverablePayload:
        # Only now, since looking through everything once more is what a payload without such classes is spared.
        found = {one for value in payload.values() for one in roots_outside(value, origins)}
        met = {MAIN if is_main(one) else one for one in found}
        source = _source_of_main() if MAIN in met else None
        more = {one for one in met if (source is not None if one == MAIN else names is None)}
        if not more:
            raise
    origins = _origins_of((*origins.roots.listed, *more), origins.roots.prefix, distributions)
    resources = _pickled(payload, origins)
    if source is not None:
        origins = _with_main(origins, source, resources, follow=names is None)
    return origins, resources


def made_files(origins: Origins) -> Iterator[SourceFile]:
    """The files of a package that lie nowhere: what travels of the script or the notebook that is run."""
    if origins.main is not None:
        main = origins.main
        yield SourceFile("main.py", main.location, Path(main.location), main.text, main.places)


def _with_main(origins: Origins, source: MainSource, resources: Iterable[PickledResource], *, follow: bool) -> Origins:
    """With the module of what is run; `follow`: and with the roots that it imports."""
    from .main_module import MainModule  # only where a class of it is delivered

    inside = origins.roots.inside(MAIN)
    names = {name.partition(".")[0] for one in resources for module, name in one.globals if module == inside}
    main = MainModule.with_definitions(source, names)
    if follow:
        more = {
            one.module.partition(".")[0]
            for one in imports_of(main.text)
            if not one.level and not is_main(one.module) and origins.could_be_in_a_root(one.module)
            # what only type checkers import, nobody has
            if not one.optional or one.module in sys.modules
        }
        if more:
            origins = _origins_of((*origins.roots.listed, *more), origins.roots.prefix, origins.distributions)
    return replace(origins, main=main)


def _source_of_main() -> MainSource | None:
    from .main_source import MainSource

    try:
        return MainSource.of_process()
    except LookupError:  # why, is told by the refusal
        return None


def _origins_of(listed: Iterable[str], prefix: str, distributions: frozenset[str]) -> Origins:
    given = frozenset(listed)
    if {MAIN, "main"} <= given:
        raise InvalidName(
            "the root 'main' would be UID.main, which is what the script or notebook that is run is in a package, and the payload "
            "has classes of both. Rename the module main.",
            given="main",
        )
    roots = Roots.of(given, prefix)
    return Origins(roots, portions_of(roots), distributions)


def _pickled(payload: Mapping[str, Any], origins: Origins) -> tuple[PickledResource, ...]:
    return tuple(pickle_resource(key, payload[key], origins) for key in sorted(payload))


def _roots_of_this_package() -> tuple[str, ...]:
    """Inside of a delivered package: all that it brought, since its source names them relatively."""
    prefix = local_prefix()
    return roots_of_package(prefix.partition(".")[0]) if prefix else ()
