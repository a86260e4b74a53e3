"""Packaging: an object and its source become a package.

`Packaging` holds settings, as the specification shows them. `make_package` turns them into a plan, which refuses bad
input before anything is written, and writes the plan down.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ...locations import Loc
from ...logger import Logger
from ...progress import working
from ..runtime.card import card
from ..runtime.errors import InvalidName, PackageNotFound, UndeliverablePayload, UndeliverableSource
from ..runtime.sizes import size_of
from ..trust.own_builds import note_own_build
from .checking import CheckReport
from .dependencies import DependencyList, dependency_lists
from .examination import Examination
from .parsing import Place
from .plan import Plan
from .settings import Settings
from .snapshot import SnapshotFile
from .storage import storing
from .wheel import write_wheel

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ..environments.lock import Lock
    from ..trust.keys import SigningKey
    from .facts import PackageFacts

__all__ = ["Packaging"]


class Packaging:
    """Settings for making a package; assignable until `make_package` is called, and after it for the next one.

    - `name`: of the package; lower case letters, digits, single underscores.
    - `version`: as PEP 440 writes it. Left out, it is made from the content: equal content, equal version.
    - `payload`: the objects that travel, by name. The one named `job` is what `python -m UID` runs.
    - `dependencies`: lists of requirements. Those of `tg.common` itself come first; add yours. `'auto'`, or a
      `DependencyList.inferred()` among them, finds what is imported, with the versions that are installed here.
    - `roots`: the top-level packages that travel besides `tg`, installed or not. Left out, those that the payload's classes
      come from and that are neither installed nor Python's own; of the script or the notebook that is run, also what it imports.
    - `requires_python`: the Pythons the package is for, `>=3.10` by default.
    - `human_readable_module_name`: the module is called `name`, for publishing; versions can then not be told apart.
    - `allow_credentials`: files, as paths below `tg/`, that may travel although they look as if they held keys or tokens;
      `payload['key']` for an object.
    - `description`: one line for the wheel's metadata.
    - `checked`: before the package is written, load it in a fresh interpreter; see `check`. True by default.
    - `locks`: what `lock()` has resolved, for one target each. Assign `()` to go without.
    - `silent`: log no progress. Warnings are logged all the same.

    After `make_package`, and `is_made` says whether that was: `package_location` is the file, `package_module_name` the UID,
    `package_properties` what the entry point will show. Before, they raise `PackageNotFound`.
    """

    def __init__(
        self,
        name: str,
        version: str | None = None,
        payload: Mapping[str, Any] | None = None,
        dependencies: Iterable[DependencyList] | str | None = None,
        *,
        roots: Iterable[str] | None = None,
    ) -> None:
        self.name = name
        self.version = version
        if not isinstance(payload, (Mapping, type(None))):
            raise TypeError(f"payload is of {type(payload)}. Give the objects by name: dict(job=...).")
        self.payload: dict[str, Any] = dict(payload or {})
        self.dependencies: tuple[DependencyList, ...] = dependency_lists(
            DependencyList("min") if dependencies is None else dependencies
        )
        self.roots = roots
        self.requires_python = ">=3.10"
        self.human_readable_module_name = False
        self.allow_credentials: Iterable[str] = ()
        self.description = ""
        self.checked = True
        self.locks: tuple[Lock, ...] = ()
        self.silent = False
        self._made: tuple[Path, PackageFacts] | None = None

    @property
    def is_made(self) -> bool:
        """Whether `make_package` has made a package of these settings, as they were then."""
        return self._made is not None

    @property
    def package_location(self) -> Path:
        """The file that `make_package` has made."""
        return self._what_was_made()[0]

    @property
    def package_module_name(self) -> str:
        """The UID of what `make_package` has made."""
        return self._what_was_made()[1].module_name

    @property
    def package_properties(self) -> dict[str, str]:
        """What the entry point of what `make_package` has made will show, but for where it lies."""
        return self._what_was_made()[1].properties

    def _what_was_made(self) -> tuple[Path, PackageFacts]:
        if self._made is None:
            raise PackageNotFound(f"the package of {self.name} was not made yet. packaging.make_package() makes it.")
        return self._made

    def __repr__(self) -> str:
        where = f"made as {self.package_location}" if self.is_made else "not made yet"
        return (
            f"<Packaging {self.name}{f' {self.version}' if self.version else ''}: {', '.join(self.payload)}; {where}>"
        )

    def _repr_html_(self) -> str:
        there = self.is_made and self.package_location.exists()
        return card(
            "Packaging",
            f"{self.name} {self.version or '(version from the content)'}",
            [
                (
                    "payload",
                    [f"{name}: {type(one).__module__}.{type(one).__qualname__}" for name, one in self.payload.items()],
                ),
                ("dependencies", [_shown(one) for one in dependency_lists(self.dependencies)]),
                ("roots", None if self.roots is None else [*self.roots]),
                ("locked for", [f"{lock.python} on {lock.platform}" for lock in self.locks]),
                ("module", self.package_module_name if self.is_made else None),
                (
                    "file",
                    f"{self.package_location} ({size_of(self.package_location.stat().st_size)})"
                    if there
                    else "not made yet",
                ),
            ],
        )

    def make_package(self, destination: str | PathLike[str] | None = None) -> Packaging:
        """Write the package into the folder `destination`, and return these settings.

        Without a destination it goes below `Loc.packages`, to a folder named by its content. Raises `InvalidName`,
        `UndeliverablePayload`, `UndeliverableSource` or `DependencyProblem` for what cannot be delivered, `StorageProblem` when it
        cannot be written; there is no file then.
        """
        with self._examined() as found:
            plan = Plan.of(found)
            folder = Loc.packages / plan.facts.content[:16] if destination is None else Path(destination).absolute()
            location = folder / plan.file_name
            if folder.suffix == ".whl":
                raise InvalidName(
                    f"destination {str(destination)!r} names a file. Name the folder; the file will be {plan.file_name}.",
                    given=str(destination),
                    nearest=str(folder.parent),
                )
            report = _write(found, plan, location, checked=self.checked)
            broken = found.snapshot.check_syntax()
        found.snapshot.remember()
        for warning in (*report.warnings, *_syntax_warnings(broken)):
            Logger.warning(warning)
        self._made = location, plan.facts
        if not self.silent:
            for note in report.notes:
                Logger.info(note)
            tree = found.snapshot.tree
            main = [found.origins.main.location] if found.origins.main is not None else []
            portions = ", ".join([*main, *map(str, tree.portions)])
            Logger.info(f"{plan.facts.module_name}: {len(tree.files)} files of {portions} are in {location}")
            if found.settings.inferred is not None:
                needs = ", ".join(found.requirements()) or "nothing"
                Logger.info(f"{plan.facts.module_name} needs {needs} besides, as was found")
        return self

    def check(self) -> CheckReport:
        """All that is known to be wrong with the package, or may be, at once; nothing is written where packages are.

        The package is loaded in a fresh interpreter without the project on its path, unless it is known before that it cannot be. Told are modules that are missing there,
        absolute names of roots that are left, classes that are pickled under another name, dependencies that are missed or unused,
        files that are opened by a path that will not exist, and what needs a newer Python than `requires_python` says.
        Raises `InvalidName` and `DependencyProblem` for settings that cannot be used.
        """
        try:
            with self._examined() as found:
                if found.problems:
                    report = CheckReport.of_source(found) + CheckReport.of_needs(found)
                else:
                    plan = Plan.of(found)
                    with TemporaryDirectory() as folder:
                        report = _write(found, plan, Path(folder, plan.file_name), checked=True, keep=False)
                needed = {file.path for file in found.closure.files}
                broken = [pair for pair in found.snapshot.check_syntax() if pair[0].path not in needed]
        except (UndeliverablePayload, UndeliverableSource) as error:
            return CheckReport(error.problems)
        found.snapshot.remember()
        return report + CheckReport(warnings=tuple(_syntax_warnings(broken)))

    def lock(
        self,
        python: str | None = None,
        platform: str | None = None,
        *,
        libc: str = "glibc",
        from_source: Iterable[str] = (),
        renew: bool = False,
    ) -> Lock:
        """Resolve the dependencies to exact versions with hashes; the lock travels in the packages made after that.

        `python` (`3.11`) and `platform` (`linux/amd64`; `libc` may be `musl`) say what it is for: this Python and this machine by
        default. Locks for several targets travel together. `from_source` names what is built there and not taken as a wheel; with
        `renew`, what was resolved before is resolved anew. Images, processes and isolated versions install by the lock for
        their Python and platform, where there is one. Raises `DependencyProblem` with the resolver's own reason, and what
        `make_package` raises about the source where dependencies are to be found.
        """
        from ..environments.lock import Lock
        from ..environments.platform import Platform

        if python is not None and not (isinstance(python, str) and re.fullmatch(r"\d+\.\d+", python)):
            raise InvalidName(f"python={python!r} is not one to lock for. Give it as '3.12'.", given=python)
        settings = self._settings()
        if settings.inferred is None:
            requirements = settings.requirements()
        else:
            with self._examined() as found:
                found.raise_for_problems()
                requirements = found.requirements()
        lock = Lock.of(
            requirements,
            python or "{}.{}".format(*sys.version_info[:2]),
            Platform.of_machine() if platform is None else Platform.parse(platform, libc=libc),
            from_source=tuple(from_source),
            renew=renew,
        )
        self.locks = (*(one for one in self.locks if one.file_name != lock.file_name), lock)
        return lock

    def _examined(self) -> Examination:
        with working(f"examining {self.name}, its payload and its source"):
            return Examination.of(self._settings())

    def _settings(self) -> Settings:
        return Settings.checked(
            name=self.name,
            version=self.version,
            payload=self.payload,
            dependencies=self.dependencies,
            requires_python=self.requires_python,
            human_readable_module_name=self.human_readable_module_name,
            description=self.description,
            allow_credentials=self.allow_credentials,
            roots=self.roots,
            locks=self.locks,
        )

    def sign(
        self,
        key: SigningKey | str | PathLike[str],
        *,
        expires: datetime | timedelta | None = None,
        sequence: int | None = None,
    ) -> Packaging:
        """Sign the package, which is made if it was not yet, and return these settings; see `sign_package`."""
        from .signing import sign_package

        if not self.is_made:
            self.make_package()
        manifest = sign_package(self.package_location, key, expires=expires, sequence=sequence)
        if not self.silent:
            Logger.info(f"{manifest.module_name} is signed: {manifest.signer}, sequence {manifest.sequence}")
        return self


def _shown(dependencies: object) -> str:
    if not isinstance(dependencies, DependencyList):
        return str(dependencies)
    requirements = [*dependencies.dependencies, *(["what is found"] if dependencies.is_inferred else [])]
    return f"{dependencies.name}: {', '.join(requirements) or 'nothing'}"


def _write(found: Examination, plan: Plan, location: Path, *, checked: bool, keep: bool = True) -> CheckReport:
    """Write the package down, and return what was found of it. One that is to be kept gets its name when nothing is wrong."""
    report = CheckReport.of_source(found)

    def accept(seal: str, archive: Path) -> None:
        nonlocal report
        if checked:
            report += CheckReport.of_package(found, plan, archive)
        if keep:
            report.raise_for_problems()
            note_own_build(seal)

    with storing(f"{plan.facts.module_name} cannot be written", location.parent):
        write_wheel(location, plan.members, plan.facts.dist_info, plan.metadata, accept)
    return report


def _syntax_warnings(broken: Iterable[tuple[SnapshotFile, Place]]) -> Iterable[str]:
    for file, (line, message) in broken:
        yield f"{file.source.place(line)} does not parse ({message}). It travels as it is; nothing in the payload needs it."
