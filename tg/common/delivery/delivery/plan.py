"""The plan of a package: settings found to be usable, and from them all that the file will hold.

Making a plan writes nothing. Whatever is to be refused is refused here.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..runtime.errors import InvalidName, UndeliverableSource
from ..runtime.names import UID, check_payload_key
from ..runtime.resources import buffer_member
from .choosing_roots import checked_roots
from .closure import Closure
from .credentials import credential_file, find_credentials
from .dependencies import DependencyList, dependency_lists
from .digests import Digests
from .facts import PackageFacts, check_requires_python
from .origins import Origins, distribution_names
from .package_files import init_text, main_text, wheel_metadata
from .pickling import PickledResource
from .snapshot import Snapshot, SnapshotFile
from .wheel import Member, same_place, wheel_file_name

if TYPE_CHECKING:
    from .inferring import Inferred

__all__ = ["Plan", "Settings"]

_FILES_LIMIT = 90_000
"""How many files of the source tree a package takes: what its reader takes (`MEMBERS_LIMIT`), less room for resources."""

_LOOKED_THROUGH_BYTES = 4 * 1024 * 1024
"""Of a pickle; a bigger one is data, and its looking through would take as long as its pickling."""


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
        )

    def requirements(self) -> list[str]:
        return [one for names in self.needs.values() for one in names]


@dataclass(frozen=True)
class Plan:
    """All that the package file will hold."""

    facts: PackageFacts
    members: tuple[Member, ...]
    metadata: Mapping[str, bytes]
    closure: Closure
    left_out: tuple[str, ...]
    """What the closure imports and no dependency was made of, where they were to be found."""

    @property
    def file_name(self) -> str:
        return wheel_file_name(self.facts.uid.name, self.facts.uid.version)

    @classmethod
    def of(
        cls,
        settings: Settings,
        resources: Sequence[PickledResource],
        digests: Callable[[], list[Digests]],
        snapshot: Snapshot,
        origins: Origins,
    ) -> Plan:
        """`digests` waits for those of all buffers, in their order; it is called once nothing is left to refuse."""
        closure = Closure.of({pair for one in resources for pair in one.globals}, snapshot, origins)
        inferred = _infer(settings, closure, resources)
        problems = [*_place_problems(snapshot), *_credential_problems(settings, snapshot, resources), *closure.problems]
        needs = {**settings.needs}
        if inferred is not None and settings.inferred is not None:
            problems += inferred.problems
            needs[settings.inferred] = (*needs.get(settings.inferred, ()), *inferred.requirements)
        if problems:
            raise UndeliverableSource("source tree cannot be delivered", problems)
        waiting = iter(digests())
        hashed = [_HashedResource(resource, list(islice(waiting, len(resource.buffers)))) for resource in resources]
        roots, source = snapshot.tree.roots, snapshot.digest()
        content = _content_digest(source, hashed, needs, settings.requires_python)
        uid = replace(settings.uid, version=f"0+h{content[:32]}") if settings.version_from_content else settings.uid
        facts = PackageFacts(
            uid=uid,
            original_tg_import_path=roots.here("tg"),
            requires_python=settings.requires_python,
            dependencies=needs,
            resources=tuple(resource.key for resource in resources),
            content=content,
            source=source,
            roots=roots.listed,
        )
        members = tuple(_members(facts, snapshot, hashed))
        return cls(
            facts, members, wheel_metadata(facts, settings.description), closure, inferred.left_out if inferred else ()
        )


@dataclass(frozen=True)
class _HashedResource:
    resource: PickledResource
    buffer_digests: Sequence[Digests]


def _infer(settings: Settings, closure: Closure, resources: Sequence[PickledResource]) -> Inferred | None:
    if settings.inferred is None:
        return None
    from .inferring import infer_dependencies  # with importlib.metadata, which takes as long as the rest of making
    from .references import UNKNOWN, references_in

    pickled = [(module, one.key) for one in resources for module, _ in references_in(one.dump("")) if module != UNKNOWN]
    tops = {name.partition(".")[0] for one in resources for name, _ in one.globals}
    foreign = sorted({(module, key) for module, key in pickled if module.partition(".")[0] not in tops})
    return infer_dependencies(closure, foreign, settings.requirements())


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
                f"dependencies has {names!r} in it. It is a sequence of lists with names: (DependencyList('mine', [...]),)."
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


def _place_problems(snapshot: Snapshot) -> Iterable[str]:
    """What no reader of a package takes: too many files, and two that are one where case does not count."""
    if len(snapshot.files) > _FILES_LIMIT:
        yield (
            f"{' and '.join(f'{one}/' for one in snapshot.tree.roots.names)} have {len(snapshot.files)} files that travel, and a package takes {_FILES_LIMIT}. Name what the job does not "
            f"need in .deliveryignore."
        )
    places: dict[str, SnapshotFile] = {}
    for file in snapshot.files:
        other = places.setdefault(same_place(file.path), file)
        if other is not file:
            yield (
                f"{other.source.location} and {file.source.location} are one file on systems where case does not count. "
                f"Rename one."
            )


def _allowed_places(places: Iterable[str]) -> frozenset[str]:
    if isinstance(places, str):
        raise TypeError(
            f"allow_credentials={places!r} is one text. Give a list of paths below tg/: ['mylibrary/key.pem']."
        )
    return frozenset(places)


def _credential_problems(settings: Settings, snapshot: Snapshot, resources: Iterable[PickledResource]) -> Iterable[str]:
    """What looks like a key or a token and would be read by whoever gets the package."""
    allowed = settings.allow_credentials
    known = {
        *map(_shown_place, snapshot.by_path),
        *snapshot.by_path,
        *(f"payload[{resource.key!r}]" for resource in resources),
    }
    for place in sorted(allowed - known):
        yield f"allow_credentials names {place!r}, which is neither a file below tg/ that travels (or `root/path` of another root) nor a payload['key']."
    for file in snapshot.files:
        shown = _shown_place(file.path)
        if {file.path, shown} & allowed:
            continue
        if credential_file(file.path.partition("/")[2]):
            yield (
                f"{file.source.location} has the name of a file with credentials, and would be read by whoever gets the package. "
                f"Move it elsewhere, or name it in .deliveryignore; if it holds none: packaging.allow_credentials = [{shown!r}]."
            )
        for line, what in file.credentials:
            yield (
                f"{file.source.location}:{line} looks like {what}, and would be read by whoever gets the package. Keep it in an "
                f"environment variable and propagate that; if it is none, end the line with '# pragma: allowlist secret', or "
                f"packaging.allow_credentials = [{shown!r}]."
            )
    for resource in resources:
        place = f"payload[{resource.key!r}]"
        if place not in allowed and len(resource.body) <= _LOOKED_THROUGH_BYTES:
            for _, what in find_credentials(resource.body):
                yield (
                    f"{place} holds what looks like {what}, and would be read by whoever gets the package. Have the job read it "
                    f"from an environment variable, and propagate that; if it is none: packaging.allow_credentials = [{place!r}]."
                )


def _shown_place(path: str) -> str:
    """A path inside the package as users write it: below `tg/`, or with its root in front."""
    return path.removeprefix("tg/")


def _content_digest(
    source: str,
    resources: Iterable[_HashedResource],
    needs: Mapping[str, tuple[str, ...]],
    requires_python: str,
) -> str:
    """SHA-256 of everything a package holds but its name, with lengths, so that no two contents run together."""
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        digest.update(len(part).to_bytes(8, "little") + part)

    add(source.encode())
    for hashed in resources:
        resource = hashed.resource
        add(resource.key.encode())
        add(resource.dump(""))
        add("".join(digests.sha256 for digests in hashed.buffer_digests).encode())
    add(repr(sorted(needs.items())).encode())
    add(requires_python.encode())
    return digest.hexdigest()


def _members(facts: PackageFacts, snapshot: Snapshot, resources: Iterable[_HashedResource]) -> Iterable[Member]:
    uid = facts.module_name
    yield Member.of(f"{uid}/__init__.py", init_text(facts, has_distributions=bool(snapshot.tree.distributions)))
    yield Member.of(f"{uid}/__main__.py", main_text())
    yield Member.of(f"{uid}/package.json", facts.to_json())
    for file in snapshot.files:
        yield Member(f"{uid}/{file.path}", file.data, Digests(file.sha256, zlib.crc32(file.data)), file.executable)
    for hashed in resources:
        resource = hashed.resource
        yield Member.of(f"{uid}/resources/{resource.key}", resource.dump(f"{uid}."))
        for index, (buffer, digests) in enumerate(zip(resource.buffers, hashed.buffer_digests, strict=True)):
            yield Member(f"{uid}/resources/{buffer_member(resource.key, index)}", buffer, digests)
