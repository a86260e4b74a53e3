"""The plan of a package: from what was found of payload and source, all that the file will hold. Nothing is written for it."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from ..environments.platform import libc_here
from ..runtime.errors import DependencyProblem
from ..runtime.resources import buffer_member
from .digests import Digests
from .examination import Examination
from .facts import LOCKS, PackageFacts
from .package_files import init_text, main_text, wheel_metadata
from .pickling import PickledResource
from .snapshot import Snapshot
from .wheel import Member, wheel_file_name

if TYPE_CHECKING:
    from ..environments.lock import Lock

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """All that the package file will hold."""

    facts: PackageFacts
    members: tuple[Member, ...]
    metadata: Mapping[str, bytes]

    @property
    def file_name(self) -> str:
        return wheel_file_name(self.facts.uid.name, self.facts.uid.version, self.facts.tag)

    @classmethod
    def of(cls, found: Examination) -> Plan:
        """Raises `UndeliverableSource` for what was found to be wrong, `DependencyProblem` for locks of something else."""
        found.raise_for_problems()
        settings, snapshot = found.settings, found.snapshot
        _check_locks(settings.locks, found.requirements())
        waiting = iter(found.digests())
        hashed = [
            _HashedResource(resource, list(islice(waiting, len(resource.buffers)))) for resource in found.resources
        ]
        roots, source = snapshot.tree.roots, snapshot.digest()
        tag = found.compiled.tag
        requires_python = tag.narrowed(settings.requires_python)
        content = _content_digest(source, hashed, found.needs, requires_python, settings.locks)
        uid = replace(settings.uid, version=f"0+h{content[:32]}") if settings.version_from_content else settings.uid
        facts = PackageFacts(
            uid=uid,
            original_tg_import_path=roots.here("tg"),
            requires_python=requires_python,
            dependencies=found.needs,
            resources=tuple(resource.key for resource in found.resources),
            content=content,
            source=source,
            roots=roots.listed,
            tag=tag,
            libc="" if tag.is_pure else libc_here(),
        )
        members = tuple(_members(facts, snapshot, hashed, settings.locks))
        return cls(facts, members, wheel_metadata(facts, settings.description))


@dataclass(frozen=True)
class _HashedResource:
    resource: PickledResource
    buffer_digests: Sequence[Digests]


def _content_digest(
    source: str,
    resources: Iterable[_HashedResource],
    needs: Mapping[str, tuple[str, ...]],
    requires_python: str,
    locks: Iterable[Lock],
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
    for lock in locks:
        add(f"{lock.file_name}\n{lock.text}".encode())
    return digest.hexdigest()


def _check_locks(locks: Iterable[Lock], requirements: Sequence[str]) -> None:
    """A lock in a package is of what the package needs, or whoever installs by it gets something else."""
    for lock in locks:
        odd = sorted({*lock.requirements} ^ {*requirements})
        if odd:
            raise DependencyProblem(
                f"the lock for Python {lock.python} on {lock.platform} is of {', '.join(lock.requirements) or 'nothing'}, and the "
                f"package needs {', '.join(requirements) or 'nothing'}. Call packaging.lock() again after changing dependencies.",
                problems=odd,
            )


def _members(
    facts: PackageFacts, snapshot: Snapshot, resources: Iterable[_HashedResource], locks: Iterable[Lock]
) -> Iterable[Member]:
    uid = facts.module_name
    yield Member.of(f"{uid}/__init__.py", init_text(facts, has_distributions=bool(snapshot.tree.distributions)))
    yield Member.of(f"{uid}/__main__.py", main_text())
    yield Member.of(f"{uid}/package.json", facts.to_json())
    for lock in locks:
        yield Member.of(f"{uid}/{LOCKS}/{lock.file_name}", lock.text.encode())
    for file in snapshot.files:
        yield Member(f"{uid}/{file.path}", file.data, Digests(file.sha256, zlib.crc32(file.data)), file.executable)
    for hashed in resources:
        resource = hashed.resource
        yield Member.of(f"{uid}/resources/{resource.key}", resource.dump(f"{uid}."))
        for index, (buffer, digests) in enumerate(zip(resource.buffers, hashed.buffer_digests, strict=True)):
            yield Member(f"{uid}/resources/{buffer_member(resource.key, index)}", buffer, digests)
