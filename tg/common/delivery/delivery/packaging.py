"""Packaging: an object and its source become a package.

`Packaging` holds settings, as the specification shows them. `make_package` turns them into a plan, which refuses bad
input before anything is written, and writes the plan down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...locations import Loc
from ...logger import Logger
from ..runtime.errors import InvalidName
from ..trust.own_builds import note_own_build
from .choosing_roots import made_files, pickle_payload
from .closure import Closure
from .dependencies import DependencyList, dependency_lists
from .digests import hash_in_background
from .origins import distribution_names
from .parsing import Place
from .plan import Plan, Settings
from .snapshot import Snapshot, SnapshotFile
from .source_tree import SourceTree
from .storage import storing
from .wheel import write_wheel

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ..trust.keys import SigningKey

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
    - `silent`: log no progress. Warnings are logged all the same.

    After `make_package`: `package_location` is the file, `package_module_name` the UID, `package_properties` what the
    entry point will show.
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
        self.silent = False
        self.package_location: Path | None = None
        self.package_module_name: str | None = None
        self.package_properties: dict[str, str] | None = None

    def make_package(self, destination: str | PathLike[str] | None = None) -> Packaging:
        """Write the package into the folder `destination`, and return these settings.

        Without a destination it goes below `Loc.packages`, to a folder named by its content. Raises `InvalidName`,
        `UndeliverablePayload`, `UndeliverableSource` or `DependencyProblem` before anything is written.
        """
        settings = Settings.checked(
            name=self.name,
            version=self.version,
            payload=self.payload,
            dependencies=self.dependencies,
            requires_python=self.requires_python,
            human_readable_module_name=self.human_readable_module_name,
            description=self.description,
            allow_credentials=self.allow_credentials,
            roots=self.roots,
        )
        origins, resources = pickle_payload(
            settings.payload, settings.roots, distribution_names(settings.requirements())
        )
        tree = SourceTree.of(origins.roots, origins.portions, made_files(origins))
        digests = hash_in_background([buffer for resource in resources for buffer in resource.buffers])
        with Snapshot(tree) as snapshot:
            plan = Plan.of(settings, resources, digests, snapshot, origins)
            folder = Loc.packages / plan.facts.content[:16] if destination is None else Path(destination).absolute()
            location = folder / plan.file_name
            if folder.suffix == ".whl":
                raise InvalidName(
                    f"destination {str(destination)!r} names a file. Name the folder; the file will be {plan.file_name}.",
                    given=str(destination),
                    nearest=str(folder.parent),
                )
            with storing(f"{plan.facts.module_name} cannot be written", folder):
                write_wheel(location, plan.members, plan.facts.dist_info, plan.metadata, note_own_build)
            broken = snapshot.check_syntax()
        snapshot.remember()
        for warning in (
            *_job_warnings(settings.payload),
            *(origins.main.warnings if origins.main is not None else ()),
            *tree.warnings,
            *_source_warnings(snapshot, broken),
            *_portion_warnings(tree, plan.closure),
        ):
            Logger.warning(warning)
        self.package_location = location
        self.package_module_name = plan.facts.module_name
        self.package_properties = plan.facts.properties
        if not self.silent:
            for text in plan.left_out:
                Logger.info(f"{text} It is no dependency; DependencyList.inferred(also=[...]) makes it one.")
            portions = ", ".join(map(str, tree.portions))
            Logger.info(f"{plan.facts.module_name}: {len(tree.files)} files of {portions} are in {location}")
        return self

    def sign(
        self,
        key: SigningKey | str | PathLike[str],
        *,
        expires: datetime | timedelta | None = None,
        sequence: int | None = None,
    ) -> Packaging:
        """Sign the package, which is made if it was not yet, and return these settings; see `sign_package`."""
        from .signing import sign_package

        if self.package_location is None:
            self.make_package()
        assert self.package_location is not None
        manifest = sign_package(self.package_location, key, expires=expires, sequence=sequence)
        if not self.silent:
            Logger.info(f"{manifest.module_name} is signed: {manifest.signer}, sequence {manifest.sequence}")
        return self


def _job_warnings(payload: Mapping[str, Any]) -> Iterable[str]:
    job = payload.get("job")
    if isinstance(job, type):
        yield f"job is the class {job.__name__} itself, and running it only makes one. Did you mean {job.__name__}()?"
    elif "job" in payload and not callable(job) and not callable(getattr(job, "run", None)):
        yield f"job is of {type(job)}, which can neither be called nor has a method run: the package can be loaded, but not run."


def _source_warnings(snapshot: Snapshot, broken: Iterable[tuple[SnapshotFile, Place]]) -> Iterable[str]:
    for file, (line, message) in broken:
        where = f"{file.source.location}:{line}"
        yield f"{where} does not parse ({message}). It travels as it is; nothing in the payload needs it."
    for file in snapshot.files:
        for line, text in file.unresolved:
            yield (
                f"{file.source.location}:{line} imports by a name made at run time: {text}. If that is a module of {file.path.partition('/')[0]}, it will "
                f"not be found where the package lands; use a relative name, import_module('.x', __package__)."
            )


def _portion_warnings(tree: SourceTree, closure: Closure) -> Iterable[str]:
    """A folder named as a root that only happens to be on the path must not travel unnoticed."""
    ours = next(file.portion for file in tree.files if file.path == "tg/common/delivery/delivery/packaging.py")
    used = {file.source.portion for file in closure.files} | {ours}
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
