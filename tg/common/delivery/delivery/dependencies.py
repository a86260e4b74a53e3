"""What a package needs beside itself: lists of requirements, each list with a name that says whose they are."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["DependencyList"]


class DependencyList:
    """A name and requirements as pip takes them (`pandas`, `numpy>=1.26`, `torch==2.5; python_version < '3.13'`).

    Raises `TypeError` when `dependencies` is one string: a list of its letters is never what was meant.
    """

    def __init__(self, name: str, dependencies: Iterable[str] = ()) -> None:
        if isinstance(dependencies, str):
            raise TypeError(f"dependencies of {name!r} are one string, {dependencies!r}. Put it into a list.")
        self.name = name
        self.dependencies = list(dependencies)

    def __repr__(self) -> str:
        return repr({self.name: self.dependencies})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DependencyList):
            return NotImplemented
        return (self.name, self.dependencies) == (other.name, other.dependencies)

    __hash__ = None  # type: ignore[assignment]  # it can be changed
