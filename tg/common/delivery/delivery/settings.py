"""Settings: what `Packaging` said at the moment it was asked for a package, found to be usable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..runtime.errors import InvalidName
from ..runtime.names import UID, check_payload_key
from .choosing_roots import checked_roots
from .dependencies import DependencyList, dependency_lists
from .origins import distribution_names
from .required_python import check_requires_python

if TYPE_CHECKING:
    from ..environments.lock import Lock

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """What `Packaging` said at the moment `make_package` was called, found to be usable."""

    uid: UID
    version_from_content: bool
    payload: Mapping[str, Any]
    needs: Mapping[str, tuple[str, ...]]
    requires_python: str
    description: str
    allow_credentials: frozenset[str]
    roots: tuple[str, ...] | None
    inferred: str | None
    """The name of the list of dependencies that are to be found."""
    locks: tuple[Lock, ...]

    @classmethod
    def checked(
        cls,
        *,
        name: str,
        version: str | None,
        payload: Mapping[str, Any],
        dependencies: Iterable[DependencyList] | str,
        requires_python: str,
        human_readable_module_name: bool,
        description: str,
        allow_credentials: Iterable[str] = (),
        roots: Iterable[str] | None = None,
        locks: Iterable[Lock] = (),
    ) -> Settings:
        """Judge settings as `Packaging` has them. Raises `InvalidName` and `DependencyProblem`."""
        _check_keys(payload)
        lists = dependency_lists(dependencies)
        needs = _needs(lists)
        if isinstance(name, str) and distribution_names([name]) & distribution_names(
            one for all in needs.values() for one in all
        ):
            raise InvalidName(
                f"package name {name!r} is that of a dependency: pip would install one in the place of the other.",
                given=name,
                nearest=f"{name}_job",
            )
        return cls(
            # "0" stands in for the version until the content is known.
            UID(name, "0" if version is None else version, human_readable_module_name),
            version is None,
            dict(payload),
            needs,
            _checked_python(requires_python),
            description,
            _allowed_places(allow_credentials),
            checked_roots(roots),
            _inferred_list(lists),
            tuple(sorted(locks, key=lambda lock: lock.file_name)),
        )

    def requirements(self) -> list[str]:
        return [one for names in self.needs.values() for one in names]


def _inferred_list(lists: Sequence[DependencyList]) -> str | None:
    names = [one.name for one in lists if one.is_inferred]
    if len(names) > 1:
        raise TypeError(
            f"dependencies has {len(names)} lists that are to be found, {', '.join(names)}. One has all of them."
        )
    return names[0] if names else None


def _check_keys(payload: Mapping[str, Any]) -> None:
    seen: dict[str, str] = {}
    for key in payload:
        check_payload_key(key)
        other = seen.setdefault(key.lower(), key)
        if other != key:
            raise InvalidName(
                f"payload keys {other!r} and {key!r} differ only in case, and would be one file on some systems.",
                given=key,
                nearest=f"{key}_2",
            )


def _needs(lists: Sequence[DependencyList]) -> dict[str, tuple[str, ...]]:
    needs: dict[str, tuple[str, ...]] = {}
    for names in lists:
        if not isinstance(names, DependencyList):
            raise TypeError(
                f"dependencies has {names!r} in it. It is a sequence of lists with names, (DependencyList('mine', [...]),), or 'auto'."
            )
        needs[names.name] = (*needs.get(names.name, ()), *names.dependencies)
    texts = [one for names in needs.values() for one in names]
    if texts:
        from .requirements import check_requirements

        check_requirements(texts)
    return needs


def _checked_python(specifier: str) -> str:
    try:
        check_requires_python(specifier)
    except ValueError as error:
        raise InvalidName(f"requires_python={specifier!r}: {error}.", given=specifier, nearest=">=3.10") from error
    return specifier


def _allowed_places(places: Iterable[str]) -> frozenset[str]:
    if isinstance(places, str):
        raise TypeError(
            f"allow_credentials={places!r} is one text. Give a list of paths below tg/: ['mylibrary/key.pem']."
        )
    return frozenset(places)
