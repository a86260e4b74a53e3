"""Plug-ins: what `entry_points(group=…)` answers to the source of a package.

A library finds its plug-ins by the entry points that distributions declare, and its own are among them. Relocated source
asks here. Those of the package's own distributions lead into the package, in the place of the same distribution's that may be
installed; all others stay as they are. `importlib.metadata`, its backport and `pkg_resources` are answered for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from .distributions import distributions_of, normalised
from .roots import local_prefix

__all__ = ["with_own"]

_KNOWN = frozenset({"importlib", "importlib_metadata", "pkg_resources"})


def with_own(function: Callable[..., Any]) -> Callable[..., Any]:
    """`entry_points` or `iter_entry_points`, with those that this package's own distributions declare."""
    module = getattr(function, "__module__", None) or ""
    own = {
        normalised(found.metadata["Name"]): found
        for found in (distributions_of(local_prefix()[:-1]) if local_prefix() else ())
        if found.entry_points
    }
    if module.partition(".")[0] not in _KNOWN or not own:
        return function

    def others(points: Iterable[Any]) -> list[Any]:
        return [point for point in points if _distribution_of(point) not in own]

    def declared(**selection: Any) -> list[Any]:
        points = [point for found in own.values() for point in found.entry_points if point.matches(**selection)]
        backport: Any = sys.modules.get("importlib_metadata")
        if backport is None or not module.startswith("importlib_metadata"):
            return points
        return [backport.EntryPoint(point.name, point.value, point.group) for point in points]

    @wraps(function)
    def entry_points(**selection: Any) -> Any:
        found = function(**selection)
        if isinstance(found, dict):  # all of them by their groups, before Python 3.12
            groups = {**dict.fromkeys(found), **dict.fromkeys(point.group for point in declared())}
            every = {group: [*others(found.get(group, ())), *declared(group=group)] for group in groups}
            some = next(iter(found.values()), None)
            return type(found)((group, type(some)(points) if some else points) for group, points in every.items())
        return type(found)([*others(found), *declared(**selection)])

    @wraps(function)
    def iter_entry_points(group: str, name: str | None = None) -> Iterator[Any]:
        yield from others(function(group, name))
        resources: Any = sys.modules["pkg_resources"]
        for project, found in own.items():
            distribution = resources.Distribution(project_name=project, version=found.version)
            for point in found.entry_points:
                if point.group == group and name in (None, point.name):
                    yield resources.EntryPoint.parse(f"{point.name} = {point.value}", dist=distribution)

    return iter_entry_points if module.startswith("pkg_resources") else entry_points


def _distribution_of(point: Any) -> str | None:
    """The normalised name of the distribution that declares an entry point."""
    distribution = getattr(point, "dist", None)
    name = getattr(distribution, "project_name", None) or getattr(distribution, "metadata", {"Name": None})["Name"]
    return normalised(name) if name else None
