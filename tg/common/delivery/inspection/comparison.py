"""Comparison: what differs between two packages, in what they say of themselves, in their payload and in their source.

Nothing of them is run, as in `inspecting.py`.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from os import PathLike

from ..delivery.inspecting import PackageReport, ResourceReport, inspect_package
from ..delivery.source_difference import FileDifference, files_of_wheel, source_difference
from ..delivery.wheel import WheelReader
from ..runtime.errors import PackageRejected
from ..runtime.sizes import size_of
from ..trust.policy import Policy
from .markup import visible

__all__ = ["Comparison", "FactDifference", "ResourceDifference", "compare_packages", "inspected"]

_READ_BYTES = 4 * 1024 * 1024
_SHOWN_NUMBERS = 10
_LINE = "\n"


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

    @property
    def sizes(self) -> str:
        """Of the pickle, before and after, for a person."""
        before, after = (size_of(side.size) if side else "\N{EN DASH}" for side in (self.before, self.after))
        return (
            f"{before} → {after}" if self.pickle or self.before is None or self.after is None else f"{after}, the same"
        )

    @property
    def differing_buffers(self) -> str:
        """Which buffers differ, for a person."""
        count = max(len(side.buffers) if side else 0 for side in (self.before, self.after))
        numbers = ", ".join(map(str, self.buffers[:_SHOWN_NUMBERS])) + ", …" * (len(self.buffers) > _SHOWN_NUMBERS)
        return f"{len(self.buffers)} of {count} differ: {numbers}" if self.buffers else "the same" if count else "none"


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

    def __str__(self) -> str:
        """For a terminal, which obeys nothing of it; the source is a unified diff."""
        return "\n".join(map(visible, self._lines()))

    def to_json(self) -> dict[str, object]:
        """Plain values, for `json.dumps`."""
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "facts": {one.what: [one.before, one.after] for one in self.facts},
            "resources": {
                one.key: {
                    "state": one.state,
                    "pickle": one.pickle,
                    "buffers": list(one.buffers),
                    "new_references": list(one.new_references),
                    "gone_references": list(one.gone_references),
                }
                for one in self.resources
            },
            "source": {one.path: {"state": one.state, "difference": str(one)} for one in self.source},
        }

    def _lines(self) -> Iterator[str]:
        for side, report in (("before", self.before), ("after", self.after)):
            yield f"{side:<8}{report.facts.uid.name} {report.facts.uid.version}  {report.digest}"
        yield ""
        for fact in self.facts:
            yield f"{fact.what}: {fact.before.replace(_LINE, ', ')} → {fact.after.replace(_LINE, ', ')}"
        for one in self.resources:
            yield f"resource {one.key}: {one.state} (pickle {one.sizes}; buffers {one.differing_buffers})"
            yield from (f"  + {name}" for name in one.new_references)
            yield from (f"  - {name}" for name in one.gone_references)
        yield ""
        for difference in self.source:
            yield from str(difference).split(_LINE)[:-1]
        if not self.source:
            yield "the source is the same"


def compare_packages(
    before: str | PathLike[str], after: str | PathLike[str], *, policy: Policy | None = None
) -> Comparison:
    """What differs between two package files. Raises what `inspect_package` raises."""
    with inspected(before, policy) as (one, old), inspected(after, policy) as (other, new):
        return Comparison.of(one, old, other, new)


@contextmanager
def inspected(file: str | PathLike[str], policy: Policy | None) -> Iterator[tuple[PackageReport, WheelReader]]:
    """The report of a package file, and the very file that it is about, open."""
    report = inspect_package(file, policy=policy)
    with WheelReader(report.path) as wheel:
        if f"sha256:{wheel.check_seal()}" != report.digest:
            raise PackageRejected(f"{report.path} was exchanged while it was read.", path=report.path)
        yield report, wheel


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
