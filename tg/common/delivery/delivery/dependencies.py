"""What a package needs beside itself: lists of requirements, each list with a name that says whose they are."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["DependencyList", "dependency_lists"]


class DependencyList:
    """A name and requirements as pip takes them (`pandas`, `numpy>=1.26`, `torch==2.5; python_version < '3.13'`).

    Raises `TypeError` when `dependencies` is one string: a list of its letters is never what was meant.
    """

    def __init__(self, name: str, dependencies: Iterable[str] = ()) -> None:
        if isinstance(dependencies, str):
            raise TypeError(f"dependencies of {name!r} are one string, {dependencies!r}. Put it into a list.")
        self.name = name
        self.dependencies = list(dependencies)
        self.is_inferred = False

    @classmethod
    def inferred(cls, name: str = "inferred", also: Iterable[str] = ()) -> DependencyList:
        """What the payload needs, found when the package is made, with the versions that are installed here.

        `also` are requirements that no import tells of, such as an engine that a library looks for by itself.
        """
        found = cls(name, also)
        found.is_inferred = True
        return found

    def __repr__(self) -> str:
        return repr({self.name: [*self.dependencies, *(["…"] if self.is_inferred else [])]})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DependencyList):
            return NotImplemented
        return (self.name, self.dependencies, self.is_inferred) == (other.name, other.dependencies, other.is_inferred)

    __hash__ = None  # type: ignore[assignment]  # it can be changed


def dependency_lists(given: Iterable[DependencyList] | DependencyList | str) -> tuple[DependencyList, ...]:
    """What the `dependencies` of a package stand for: `"auto"` is the list of `tg.common` itself, and one that is found.

    Any other text is passed on, to be refused where the lists are looked at.
    """
    if given == "auto":
        return DependencyList("min"), DependencyList.inferred()
    return (given,) if isinstance(given, (str, DependencyList)) else tuple(given)  # type: ignore[return-value]
