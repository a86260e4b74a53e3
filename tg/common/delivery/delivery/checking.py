"""Checking a package before it is delivered: all that is known to be wrong with it, or may be, at once.

What was found of the source is told by reading it; what loading does, by a trial in a fresh interpreter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.card import card
from ..runtime.errors import UndeliverableSource
from .declared import missed_by, unused_of
from .examination import Examination
from .installed_distributions import InstalledDistributions
from .opened_files import paths_that_will_not_exist
from .origins import Origins, distribution_names
from .plan import Plan
from .required_python import lowest_python, release
from .snapshot import SnapshotFile
from .trial import Failure, Trial
from .uses import Use, uses_of

__all__ = ["CheckReport"]

_ALL_THE_SAME = "With packaging.checked = False the package is made all the same."


@dataclass(frozen=True)
class CheckReport:
    """What a check has found, a sentence each.

    `problems` stop a package from being made; `warnings` are what may go wrong where it lands; `notes` what one may want
    to know. `bool()` is whether there are no problems, `str()` shows all of it.
    """

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        if not (self.problems or self.warnings or self.notes):
            return "nothing was found"
        kinds = ("problem", self.problems), ("warning", self.warnings), ("note", self.notes)
        return "\n".join(f"{kind}: {text}" for kind, texts in kinds for text in texts)

    def _repr_html_(self) -> str:
        found = [("problems", self.problems), ("warnings", self.warnings), ("notes", self.notes)]
        return card("CheckReport", "" if any(texts for _, texts in found) else "nothing was found", found)

    def __add__(self, other: CheckReport) -> CheckReport:
        return CheckReport(self.problems + other.problems, self.warnings + other.warnings, self.notes + other.notes)

    def raise_for_problems(self) -> None:
        """Raise `UndeliverableSource` with all of them, if there are any."""
        if self.problems:
            raise UndeliverableSource("package cannot be loaded", self.problems)

    @classmethod
    def of_source(cls, found: Examination) -> CheckReport:
        """What reading tells, without running anything: problems of the examination, and warnings."""
        return cls(
            found.problems,
            tuple(
                dict.fromkeys(
                    (
                        *_job_warnings(found.settings.payload),
                        *(found.origins.main.warnings if found.origins.main is not None else ()),
                        *found.snapshot.tree.warnings,
                        *_unresolved(found),
                        *_portion_warnings(found),
                        *found.compiled.warnings(found.closure.modules, inferred=found.settings.inferred is not None),
                    )
                )
            ),
            tuple(
                f"{text} It is no dependency; DependencyList.inferred(also=[...]) makes it one."
                for text in found.left_out
            ),
        )

    @classmethod
    def of_needs(cls, found: Examination) -> CheckReport:
        """What the needed modules need that may be missing where the package lands, as reading tells: files, Pythons, dependencies."""
        installed = InstalledDistributions.here()
        return cls._of_needs(found, list(uses_of(found.closure, found.resources, installed)), installed)

    @classmethod
    def of_package(cls, found: Examination, plan: Plan, archive: Path) -> CheckReport:
        """The same, and what a trial of the finished package tells."""
        installed = InstalledDistributions.here()
        uses = list(uses_of(found.closure, found.resources, installed))
        requirements = found.requirements()
        trial = Trial.of(
            plan.facts.module_name,
            plan.members,
            archive,
            roots=plan.facts.roots,
            installed=found.origins.installed,
            declared=_from_folders(requirements, installed),
            environment=installed.digest,
            places={file.path: file.source.location for file in found.snapshot.files},
        )
        files = found.snapshot.by_path
        notes: list[str] = []
        if found.settings.inferred is None and not (trial.crash or trial.unknown):
            notes = unused_of(requirements, uses, installed, trial.modules)
        tried = cls(
            tuple(_trial_problems(trial, files, found.origins)),
            tuple(dict.fromkeys(_trial_warnings(trial, files, found.origins))),
            tuple(notes),
        )
        return cls._of_needs(found, uses, installed) + tried

    @classmethod
    def _of_needs(cls, found: Examination, uses: Sequence[Use], installed: InstalledDistributions) -> CheckReport:
        warnings = [*_newer(found), *_opened(found)]
        if found.settings.inferred is None:
            warnings += missed_by(found.requirements(), uses, installed)
        return cls(warnings=tuple(dict.fromkeys(warnings)))


def _job_warnings(payload: Mapping[str, Any]) -> Iterator[str]:
    job = payload.get("job")
    if isinstance(job, type):
        yield f"job is the class {job.__name__} itself, and running it only makes one. Did you mean {job.__name__}()?"
    elif "job" in payload and not callable(job) and not callable(getattr(job, "run", None)):
        yield f"job is of {type(job)}, which can neither be called nor has a method run: the package can be loaded, but not run."


def _unresolved(found: Examination) -> Iterator[str]:
    for file in found.snapshot.files:
        root = file.path.partition("/")[0]
        for line, text in file.unresolved:
            place = file.source.place(line)
            if text.startswith(("'", '"')):  # a text alone; who imports by it, nobody can see
                yield (
                    f"{place} names a module in a text: {text}. Code of {root} that imports by it finds it where the package lands, "
                    f"other code does not: give that the object itself."
                )
            else:
                yield (
                    f"{place} imports by a name made at run time: {text}. If that is a module of {root}, it will "
                    f"not be found where the package lands; use a relative name, import_module('.x', __package__)."
                )


def _portion_warnings(found: Examination) -> Iterator[str]:
    """A folder named as a root that only happens to be on the path must not travel unnoticed."""
    tree = found.snapshot.tree
    ours = next(file.portion for file in tree.files if file.path == "tg/common/delivery/delivery/packaging.py")
    used = {file.source.portion for file in found.closure.files} | {ours}
    portions: dict[str, set[Path]] = {root: set() for root in tree.roots.names}
    for file in tree.files:
        portions.get(file.path.partition("/")[0], set()).add(file.portion)
    for root, folders in portions.items():
        stray = sorted(folders - used) if len(folders) > 1 else []  # one alone is the root that was asked for
        for portion in stray:
            yield (
                f"{portion} is part of {root} and travels, but nothing in the payload comes from it. If it is none of yours, take "
                f"{portion.parent} off sys.path."
            )


def _newer(found: Examination) -> Iterator[str]:
    """What the needed modules have that the oldest Python which the package is for does not."""
    lowest = lowest_python(found.compiled.tag.narrowed(found.settings.requires_python))
    for file in found.closure.files:
        for line, what, python in file.newer():
            if release(python) > lowest:
                yield (
                    f"{file.source.place(line)} has {what}, which is new in Python {python}, and requires_python is "
                    f"{found.settings.requires_python!r}. Set packaging.requires_python = '>={python}', or do without."
                )


def _opened(found: Examination) -> Iterator[str]:
    portions = found.snapshot.tree.portions
    for file in found.closure.files:
        for line, path, there in paths_that_will_not_exist(file.opened(), file.source.portion):
            what = f"{path!r}, which" if Path(path).is_absolute() else f"{path!r}, which is {there} here, and"
            travels = any(Path(there).is_relative_to(portion) for portion in portions)
            read = "it from the package, importlib.resources.files(__package__),"
            if "/" not in file.path:  # a script, a notebook or a single module has no folder of its own there
                advice = "Put what it says into the payload,"
            elif travels:
                advice = f"Read {read}"
            else:
                advice = f"Move it into {file.path.partition('/')[0]}/ and read {read}"
            yield f"{file.source.place(line)} opens {what} will not exist where the package lands. {advice} or give it to the run as an input."


def _trial_problems(trial: Trial, files: Mapping[str, SnapshotFile], origins: Origins) -> Iterator[str]:
    if trial.crash:
        yield f"the payload was loaded in a fresh interpreter, which did not survive: {trial.crash}. {_ALL_THE_SAME}"
    by_reason: dict[Failure, list[str]] = {}
    for key, failure in trial.failed.items():
        by_reason.setdefault(failure, []).append(key)
    for failure, keys in by_reason.items():
        if _is_declared(failure, origins):
            continue
        payload = " and ".join(f"payload[{key!r}]" for key in keys)
        at = f" at {_shown(failure.path, failure.line, files)}" if failure.path else ""
        yield (
            f"{payload} cannot be loaded in a fresh interpreter, without the project on its path:{at} {failure.type}: "
            f"{failure.message.rstrip('.')}. {_remedy(failure, origins)}{_ALL_THE_SAME}"
        )


def _is_declared(failure: Failure, origins: Origins) -> bool:
    """Whether a module is missing that a declared dependency brings, from a folder that is not on every path."""
    return failure.module is not None and origins.is_declared(failure.module.partition(".")[0])


def _remedy(failure: Failure, origins: Origins) -> str:
    if failure.module is None or "." in failure.module:
        return ""
    if failure.module in origins.roots.names:
        return "That is the name the root has here; in the package it has another one. Import it relatively. "
    where = origins.project_file(failure.module)
    if where is not None:
        return f"{where} will not be delivered: add {failure.module!r} to roots, or declare the distribution that brings it. "
    return "Install what brings it, and declare it. "


def _trial_warnings(trial: Trial, files: Mapping[str, SnapshotFile], origins: Origins) -> Iterator[str]:
    unknown = [trial.unknown] if trial.unknown else []
    unknown += [
        f"{one.module} is declared, and installed in no environment here"
        for one in trial.failed.values()
        if _is_declared(one, origins)
    ]
    for why in unknown:
        yield f"whether the payload can be loaded in a fresh interpreter is not known: {why}."
    told = {(failure.path, failure.line) for failure in trial.failed.values()}
    for name, path, line in trial.absolute:
        if (path, line) not in told:
            yield (
                f"{_shown(path, line, files)} imports {name} by the name that it has here and not in the package, and went on without it. "
                f"Import it relatively."
            )
    for name in trial.elsewhere:
        yield f"{name} is pickled under that name, and not under that of the package: what the job returns of it is read as another class."


def _shown(path: str, line: int, files: Mapping[str, SnapshotFile]) -> str:
    """A place in the package as one in the project."""
    file = files.get(path)
    if file is not None and line:
        return file.source.place(line)
    return f"{file.source.location if file else path}{f':{line}' if line else ''}"


def _from_folders(requirements: Sequence[str], installed: InstalledDistributions) -> Iterable[str]:
    """The modules of declared dependencies, and of theirs in turn, that are installed from a folder, and so where the project may lie."""
    if all(one.folder is None for one in installed.all):
        return
    from importlib import metadata  # only here, since it takes as long as making a package

    seen: set[str] = set()
    waiting = {*distribution_names(requirements)}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        one = installed.by_name.get(name)
        if one is not None:
            yield from one.modules if one.folder is not None else ()
            waiting |= distribution_names(metadata.requires(one.name) or ()) - seen
