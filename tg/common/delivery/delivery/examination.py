"""An examination: what was found of the payload and its source before anything is written.

Whatever is to be refused is known here, and collected. What is not refused becomes a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..runtime.errors import UndeliverableSource
from .choosing_roots import made_files, pickle_payload
from .closure import Closure
from .compiled_modules import CompiledCode
from .credentials import credential_file, find_credentials
from .digests import Digests, hash_in_background
from .inferring import Inferred, infer_dependencies
from .installed_distributions import InstalledDistributions
from .origins import Origins, distribution_names
from .pickling import PickledResource
from .required_python import python_satisfies
from .settings import Settings
from .snapshot import Snapshot, SnapshotFile
from .source_tree import SourceTree
from .uses import uses_of
from .wheel import same_place

__all__ = ["Examination"]

_FILES_LIMIT = 90_000
"""How many files of the source tree a package takes: what its reader takes (`MEMBERS_LIMIT`), less room for resources."""

_LOOKED_THROUGH_BYTES = 4 * 1024 * 1024
"""Of a pickle; a bigger one is data, and its looking through would take as long as its pickling."""


@dataclass(frozen=True)
class Examination:
    """The payload pickled, the source read, what of it is needed; a context manager, for the time of the syntax check.

    `needs` are the requirements by the name of their list, those found among them; `digests` waits for the digests of all
    big buffers, in their order; `left_out` is what the closure imports and no dependency was made of, where they were to be found.
    """

    settings: Settings
    resources: tuple[PickledResource, ...]
    snapshot: Snapshot
    origins: Origins
    closure: Closure
    compiled: CompiledCode
    needs: Mapping[str, tuple[str, ...]]
    digests: Callable[[], list[Digests]]
    problems: tuple[str, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> Examination:
        """Raises `UndeliverablePayload` or `UndeliverableSource` for what lets nothing further be found out."""
        declared = settings.requirements()
        origins, resources = pickle_payload(settings.payload, settings.roots, distribution_names(declared))
        tree = SourceTree.of(origins.roots, origins.portions, made_files(origins))
        digests = hash_in_background([buffer for resource in resources for buffer in resource.buffers])
        snapshot = Snapshot(tree)
        try:
            closure = Closure.of({pair for one in resources for pair in one.globals}, snapshot, origins)
            compiled = CompiledCode.of(snapshot)
            inferred = _infer(settings, closure, resources)
        except BaseException:
            snapshot.__exit__()
            raise
        problems = [*_place_problems(snapshot), *_credential_problems(settings, snapshot, resources), *closure.problems]
        problems += [*_compiled_problems(settings, compiled), *compiled.problems(closure.modules)]
        needs = {**settings.needs}
        if inferred is not None and settings.inferred is not None:
            problems += inferred.problems
            needs[settings.inferred] = (*needs.get(settings.inferred, ()), *inferred.requirements)
        left_out = inferred.left_out if inferred else ()
        return cls(settings, resources, snapshot, origins, closure, compiled, needs, digests, tuple(problems), left_out)

    def __enter__(self) -> Examination:
        return self

    def __exit__(self, *exception: object) -> None:
        self.snapshot.__exit__(*exception)

    def requirements(self) -> list[str]:
        """All that the package needs besides itself, each once."""
        return list(dict.fromkeys(one for names in self.needs.values() for one in names))

    def raise_for_problems(self) -> None:
        """Raise `UndeliverableSource` with all of them, if there are any."""
        if self.problems:
            raise UndeliverableSource("source tree cannot be delivered", self.problems)


def _infer(settings: Settings, closure: Closure, resources: Sequence[PickledResource]) -> Inferred | None:
    if settings.inferred is None:
        return None
    return infer_dependencies(uses_of(closure, resources, InstalledDistributions.here()), settings.requirements())


def _compiled_problems(settings: Settings, compiled: CompiledCode) -> Iterable[str]:
    """What is compiled is for this Python, so the package cannot be for others alone."""
    if compiled.files and not python_satisfies(settings.requires_python):
        yield (
            f"{compiled.files[0].location} is compiled for {compiled.tag}, and requires_python={settings.requires_python!r} leaves this "
            f"Python out. Make the package with a Python that it is for."
        )


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
                f"{file.source.place(line)} looks like {what}, and would be read by whoever gets the package. Keep it in an "
                f"environment variable and propagate that; if it is none, end the line with '# pragma: allowlist secret', or "
                f"packaging.allow_credentials = [{shown!r}]."
            )
    for resource in resources:
        place = f"payload[{resource.key!r}]"
        if place not in allowed and len(resource.values) + len(resource.body) <= _LOOKED_THROUGH_BYTES:
            # Each kind once: the lines of a pickle say nothing to anybody.
            for what in dict.fromkeys(what for _, what in find_credentials(resource.values + resource.body)):
                yield (
                    f"{place} holds what looks like {what}, and would be read by whoever gets the package. Have the job read it "
                    f"from an environment variable, and propagate that; if it is none: packaging.allow_credentials = [{place!r}]."
                )


def _shown_place(path: str) -> str:
    """A path inside the package as users write it: below `tg/`, or with its root in front."""
    return path.removeprefix("tg/")
