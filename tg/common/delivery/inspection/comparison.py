"""Comparison: what differs between two packages, in what they say of themselves, in their payload and in their source."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from ..delivery.inspecting import PackageReport, ResourceReport
from ..delivery.source_difference import FileDifference, files_of_wheel, source_difference
from ..delivery.wheel import WheelReader

__all__ = ["Comparison", "FactDifference", "ResourceDifference"]

_READ_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class FactDifference:
    """Something that packages say of themselves, before and after."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class ResourceDifference:
    """How a resource differs. `pickle`: whether its pickle does, apart from the package's own name in it.

    `buffers` are the numbers of those that differ, or that only one of the two has; `references` are those that are new,
    and those that are gone, without the package's own name.
    """

    key: str
    before: ResourceReport | None
    after: ResourceReport | None
    pickle: bool
    buffers: tuple[int, ...]
    new_references: tuple[str, ...]
    gone_references: tuple[str, ...]

    @property
    def state(self) -> str:
        """`added`, `removed`, `changed` or `same`."""
        if self.before is None or self.after is None:
            return "added" if self.before is None else "removed"
        return "changed" if self.pickle or self.buffers else "same"


@dataclass(frozen=True)
class Comparison:
    """What differs between two packages, of which one is called the one before."""

    before: PackageReport
    after: PackageReport
    facts: tuple[FactDifference, ...]
    resources: tuple[ResourceDifference, ...]
    source: tuple[FileDifference, ...]

    @classmethod
    def of(cls, before: PackageReport, old: WheelReader, after: PackageReport, new: WheelReader) -> Comparison:
        """Of two packages, each as its report and as the file that is open."""
        resources = {one.key: one for one in before.resources}, {one.key: one for one in after.resources}
        return cls(
            before,
            after,
            tuple(_facts(before, after)),
            tuple(
                _resource(key, resources[0].get(key), old, resources[1].get(key), new)
                for key in sorted(resources[0].keys() | resources[1].keys())
            ),
            tuple(source_difference(files_of_wheel(old), files_of_wheel(new))),
        )


def _facts(before: PackageReport, after: PackageReport) -> Iterator[FactDifference]:
    for what, old, new in zip(_FACTS, _said(before), _said(after), strict=True):
        if old != new:
            yield FactDifference(what, old, new)


_FACTS = ("name", "version", "Python", "compiled for", "roots", "dependencies", "locked for", "signed by")


def _said(report: PackageReport) -> tuple[str, ...]:
    facts, signature = report.facts, report.signature
    return (
        facts.uid.name,
        facts.uid.version,
        facts.requires_python,
        str(facts.tag),
        ", ".join(facts.roots),
        "\n".join(sorted(facts.requirements())) or "none",
        ", ".join(report.locks) or "nothing",
        str(signature.signer.key_id) if signature and signature.fits else "nobody",
    )


def _resource(
    key: str, before: ResourceReport | None, old: WheelReader, after: ResourceReport | None, new: WheelReader
) -> ResourceDifference:
    digests = [_digests(wheel, key) if there else {} for wheel, there in ((old, before), (new, after))]
    names = [_references(one, wheel) for one, wheel in ((before, old), (after, new))]
    pickle = bool(before and after) and not _same_pickle(key, old, new)
    return ResourceDifference(
        key,
        before,
        after,
        pickle,
        tuple(
            index
            for index in sorted(digests[0].keys() | digests[1].keys())
            if digests[0].get(index) != digests[1].get(index)
        ),
        tuple(one for one in names[1] if one not in names[0]),
        tuple(one for one in names[0] if one not in names[1]),
    )


def _digests(wheel: WheelReader, key: str) -> dict[int, str]:
    """Of the buffers, by their number."""
    folder = f"{_member(wheel, key)}.buffers/"
    paths = sorted(path for path in wheel.members if path.startswith(folder))
    return {index: wheel.record[path].sha256 for index, path in enumerate(paths)}


def _references(resource: ResourceReport | None, wheel: WheelReader) -> list[str]:
    own = f"{wheel.facts.module_name}."
    return [str(one).removeprefix(own) for one in resource.references] if resource else []


def _same_pickle(key: str, old: WheelReader, new: WheelReader) -> bool:
    """Whether two pickles make the same: their operations are the same, but for the package's name in what they look up."""
    members = _member(old, key), _member(new, key)
    if old.record[members[0]].sha256 == new.record[members[1]].sha256:
        return True
    if max(old.members[members[0]].size, new.members[members[1]].size) > _READ_BYTES:
        return False
    try:
        return all(
            one == other for one, other in zip_longest(_operations(old, members[0]), _operations(new, members[1]))
        )
    except (ValueError, IndexError, KeyError, OverflowError):
        return False


def _operations(wheel: WheelReader, member: str) -> Iterator[tuple[str, object]]:
    """What a pickle does, one after the other, without frames, which are long or short by the names in them."""
    own = f"{wheel.facts.module_name}."
    for opcode, argument, _ in pickletools.genops(bytes(wheel.data(member))):
        if opcode.name != "FRAME":
            yield opcode.name, argument.removeprefix(own) if isinstance(argument, str) else argument


def _member(wheel: WheelReader, key: str) -> str:
    return f"{wheel.facts.module_name}/resources/{key}"
