"""Packaging: an object and its source become a package.

`Packaging` holds settings, as the specification shows them. `make_package` turns them into a plan, which refuses bad
input before anything is written, and writes the plan down.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from ...locations import Loc
from ...logger import Logger
from ..runtime.errors import InvalidName, UndeliverableSource
from ..runtime.names import UID, check_payload_key
from ..runtime.resources import buffer_member
from .closure import Closure
from .dependencies import DependencyList
from .digests import Digests, hash_in_background
from .facts import PackageFacts, check_requires_python
from .origins import Origins, distribution_names
from .package_files import init_text, main_text, wheel_metadata
from .parsing import Place
from .pickling import PickledResource, pickle_resource
from .snapshot import Snapshot, SnapshotFile
from .source_tree import SourceTree
from .wheel import Member, wheel_file_name, write_wheel

__all__ = ["Packaging"]


class Packaging:
    """Settings for making a package; assignable until `make_package` is called, and after it for the next one.

    - `name`: of the package; lower case letters, digits, single underscores.
    - `version`: as PEP 440 writes it. Left out, it is made from the content: equal content, equal version.
    - `payload`: the objects that travel, by name. The one named `job` is what `python -m UID` runs.
    - `dependencies`: lists of requirements. Those of `tg.common` itself come first; add yours.
    - `requires_python`: the Pythons the package is for, `>=3.10` by default.
    - `human_readable_module_name`: the module is called `name`, for publishing; versions can then not be told apart.
    - `description`: one line for the wheel's metadata.
    - `silent`: log no progress. Warnings are logged all the same.

    After `make_package`: `package_location` is the file, `package_module_name` the UID, `package_properties` what the
    entry point will show.
    """

    def __init__(
        self,
        name: str,
        version: str | None = None,
        payload: Mapping[str, Any] | None = None,
        dependencies: Iterable[DependencyList] | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.payload: dict[str, Any] = dict(payload or {})
        self.dependencies: tuple[DependencyList, ...] = (
            (DependencyList("min", []),) if dependencies is None else tuple(dependencies)
        )
        self.requires_python = ">=3.10"
        self.human_readable_module_name = False
        self.description = ""
        self.silent = False
        self.package_location: Path | None = None
        self.package_module_name: str | None = None
        self.package_properties: dict[str, str] | None = None

    def make_package(self, destination: str | PathLike[str] | None = None) -> Packaging:
        """Write the package into the folder `destination`, and return these settings.

        Without a destination it goes below `Loc.packages`, to a folder named by its content. Raises `InvalidName`,
        `UndeliverablePayload`, `UndeliverableSource` or `DependencyProblem` before anything is written.
        """
        settings = _Settings.checked(self)
        tree = SourceTree.local()
        origins = Origins(tree.root, tree.portions, distribution_names(settings.requirements()))
        resources = tuple(pickle_resource(key, settings.payload[key], origins) for key in sorted(settings.payload))
        digests = hash_in_background([buffer for resource in resources for buffer in resource.buffers])
        with Snapshot(tree) as snapshot:
            plan = _Plan.of(settings, resources, digests, snapshot, origins)
            folder = Loc.packages / plan.facts.content[:16] if destination is None else Path(destination).absolute()
            location = folder / plan.file_name
            if folder.suffix == ".whl":
                raise InvalidName(
                    f"destination {str(destination)!r} names a file. Name the folder; the file will be {plan.file_name}.",
                    given=str(destination),
                    nearest=str(folder.parent),
                )
            write_wheel(location, plan.members, plan.dist_info, plan.metadata)
            broken = snapshot.check_syntax()
        snapshot.remember()
        for warning in (*tree.warnings, *_source_warnings(snapshot, broken), *_portion_warnings(tree, plan.closure)):
            Logger.warning(warning)
        self.package_location = location
        self.package_module_name = plan.facts.module_name
        self.package_properties = plan.facts.properties
        if not self.silent:
            portions = ", ".join(map(str, tree.portions))
            Logger.info(f"{plan.facts.module_name}: {len(tree.files)} files of {portions} are in {location}")
        return self


@dataclass(frozen=True)
class _Settings:
    """What `Packaging` said at the moment `make_package` was called, found to be usable."""

    uid: UID
    version_from_content: bool
    payload: Mapping[str, Any]
    needs: Mapping[str, tuple[str, ...]]
    requires_python: str
    description: str

    @classmethod
    def checked(cls, packaging: Packaging) -> _Settings:
        _check_keys(packaging.payload)
        version = packaging.version
        return cls(
            # "0" stands in for the version until the content is known.
            UID(packaging.name, "0" if version is None else version, packaging.human_readable_module_name),
            version is None,
            dict(packaging.payload),
            _needs(packaging.dependencies),
            _checked_python(packaging.requires_python),
            packaging.description,
        )

    def requirements(self) -> list[str]:
        return [one for names in self.needs.values() for one in names]


@dataclass(frozen=True)
class _Plan:
    """All that the package file will hold."""

    facts: PackageFacts
    members: tuple[Member, ...]
    metadata: Mapping[str, bytes]
    closure: Closure

    @property
    def file_name(self) -> str:
        return wheel_file_name(self.facts.uid.name, self.facts.uid.version)

    @property
    def dist_info(self) -> str:
        return f"{self.facts.uid.name}-{self.facts.uid.version}.dist-info"

    @classmethod
    def of(
        cls,
        settings: _Settings,
        resources: Sequence[PickledResource],
        digests: Callable[[], list[Digests]],
        snapshot: Snapshot,
        origins: Origins,
    ) -> _Plan:
        """`digests` waits for those of all buffers, in their order; it is called once nothing is left to refuse."""
        closure = Closure.of({module for one in resources for module, _ in one.globals}, snapshot, origins)
        if closure.problems:
            raise UndeliverableSource("source tree cannot be delivered", closure.problems)
        waiting = iter(digests())
        hashed = [_HashedResource(resource, list(islice(waiting, len(resource.buffers)))) for resource in resources]
        content = _content_digest(snapshot, hashed, settings.needs, settings.requires_python)
        uid = replace(settings.uid, version=f"0+h{content[:32]}") if settings.version_from_content else settings.uid
        facts = PackageFacts(
            uid=uid,
            original_tg_import_path=snapshot.tree.root,
            requires_python=settings.requires_python,
            dependencies=settings.needs,
            resources=tuple(resource.key for resource in resources),
            content=content,
            source=snapshot.digest(),
        )
        members = tuple(_members(facts, snapshot, hashed))
        return cls(facts, members, wheel_metadata(facts, settings.description), closure)


@dataclass(frozen=True)
class _HashedResource:
    resource: PickledResource
    buffer_digests: Sequence[Digests]


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


def _needs(dependencies: Iterable[DependencyList]) -> dict[str, tuple[str, ...]]:
    needs: dict[str, tuple[str, ...]] = {}
    for names in dependencies:
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


def _content_digest(
    snapshot: Snapshot,
    resources: Iterable[_HashedResource],
    needs: Mapping[str, tuple[str, ...]],
    requires_python: str,
) -> str:
    """SHA-256 of everything a package holds but its name, with lengths, so that no two contents run together."""
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        digest.update(len(part).to_bytes(8, "little") + part)

    add(snapshot.digest().encode())
    for hashed in resources:
        resource = hashed.resource
        add(resource.key.encode())
        add(resource.dump(snapshot.tree.root, "tg"))
        add("".join(digests.sha256 for digests in hashed.buffer_digests).encode())
    add(repr(sorted(needs.items())).encode())
    add(requires_python.encode())
    return digest.hexdigest()


def _members(facts: PackageFacts, snapshot: Snapshot, resources: Iterable[_HashedResource]) -> Iterable[Member]:
    uid = facts.module_name
    yield Member.of(f"{uid}/__init__.py", init_text(facts))
    yield Member.of(f"{uid}/__main__.py", main_text())
    yield Member.of(f"{uid}/package.json", facts.to_json())
    for file in snapshot.files:
        yield Member(f"{uid}/tg/{file.path}", file.data, Digests(file.sha256, zlib.crc32(file.data)), file.executable)
    for hashed in resources:
        resource = hashed.resource
        yield Member.of(
            f"{uid}/resources/{resource.key}", resource.dump(facts.original_tg_import_path, facts.tg_import_path)
        )
        for index, (buffer, digests) in enumerate(zip(resource.buffers, hashed.buffer_digests, strict=True)):
            yield Member(f"{uid}/resources/{buffer_member(resource.key, index)}", buffer, digests)


def _source_warnings(snapshot: Snapshot, broken: Iterable[tuple[SnapshotFile, Place]]) -> Iterable[str]:
    for file, (line, message) in broken:
        where = f"{file.source.location}:{line}"
        yield f"{where} does not parse ({message}). It travels as it is; nothing in the payload needs it."
    for file in snapshot.files:
        for line, text in file.unresolved:
            yield (
                f"{file.source.location}:{line} imports by a name made at run time: {text}. If that is a module of tg/, it will "
                f"not be found where the package lands; use a relative name, import_module('.x', __package__)."
            )


def _portion_warnings(tree: SourceTree, closure: Closure) -> Iterable[str]:
    """A folder named `tg` that only happens to be on the path must not travel unnoticed."""
    ours = next(file.portion for file in tree.files if file.path == "common/delivery/delivery/packaging.py")
    used = {file.source.portion for file in closure.files} | {ours}
    for portion in tree.portions:
        if portion not in used and any(file.portion == portion for file in tree.files):
            yield (
                f"{portion} is part of tg and travels, but nothing in the payload comes from it. If it is none of yours, "
                f"take {portion.parent} off sys.path."
            )
