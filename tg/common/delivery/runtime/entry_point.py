"""The entry point: what a loaded package offers. Its attributes are the facts of the package, its methods load it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from . import resources
from .card import card
from .errors import PackageNotFound
from .module_tree import ModuleTree
from .roots import Roots, local_prefix, roots_in
from .sizes import size_of
from .unpickling import RenamingUnpickler

if TYPE_CHECKING:
    from .kinds import Kind

__all__ = ["EntryPoint"]

Value = TypeVar("Value")


class EntryPoint:
    """A package that is ready to be used in this process.

    Nothing of the package is imported until a resource is loaded. Entry points of any number of versions of one
    package can be used side by side.
    """

    name: str
    version: str
    module_name: str
    tg_import_path: str
    original_tg_import_path: str
    resources_location: Path

    def __init__(
        self,
        *,
        name: str,
        version: str,
        module_name: str,
        tg_import_path: str,
        original_tg_import_path: str,
        resources_location: Path,
    ) -> None:
        self.name = name
        self.version = version
        self.module_name = module_name
        self.tg_import_path = tg_import_path
        self.original_tg_import_path = original_tg_import_path
        self.resources_location = resources_location

    @classmethod
    def of_folder(cls, folder: Path) -> EntryPoint:
        """The entry point of the installed package whose folder `UID/` is given."""
        facts = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        return cls(
            name=facts["name"],
            version=facts["version"],
            module_name=facts["module_name"],
            tg_import_path=facts["tg_import_path"],
            original_tg_import_path=facts["original_tg_import_path"],
            resources_location=folder / "resources",
        )

    @classmethod
    def of_module(cls, module_name: str) -> EntryPoint:
        """The entry point of a package that has been imported."""
        return cls.of_folder(Path(sys.modules[module_name].__path__[0]))

    def __repr__(self) -> str:
        return f"<EntryPoint {self.module_name}: {self.name} {self.version} in {self.resources_location.parent}>"

    def _repr_html_(self) -> str:
        return card(type(self).__name__, f"{self.name} {self.version}", self._shown())

    def _shown(self) -> list[tuple[str, object]]:
        """What a notebook shows of it."""
        sizes = resources.sizes(self.resources_location)
        return [
            ("module", self.module_name),
            ("source tree", f"{self.original_tg_import_path} is {self.tg_import_path} here"),
            ("resources", [f"{name} ({size_of(size)})" for name, size in sizes.items()]),
            ("lies in", self.resources_location.parent),
        ]

    @property
    def resources(self) -> list[str]:
        """The names of the payload's objects."""
        return resources.list_resources(self.resources_location)

    def load_resource(self, name: str, kind: type[Kind] | None = None) -> Kind:
        """Load one of the payload's objects, with the classes of this package; each call gives a new one.

        `kind` is the type that it is to be of: a class, a protocol, or a class of the local roots, which stands for the one of
        its name in the package. Raises `UnexpectedType` when it is of another, `PackageNotFound` when the payload had nothing of that name, or the package was removed from the store.
        """
        while True:
            before = self._identity()
            try:
                loaded_as = self._tree.make_importable()
                value = resources.load_resource(
                    self.resources_location, name, from_module=self.module_name, to_module=loaded_as
                )
            except (OSError, ImportError) as error:
                forgotten = self._tree.forget_missing_folders()
                now = self._identity()  # after that: it sees who removes the folder while those are looked for
                if now is not None and (now != before or forgotten):
                    continue  # it was removed, and installed again meanwhile
                if now is not None:
                    raise
                raise PackageNotFound(
                    f"{self.module_name} is not installed any more: {self.resources_location.parent} was removed after it was "
                    f"asked for. Install it again."
                ) from error
            if self._tree.current_name() == loaded_as:
                if kind is not None:
                    self._check_kind(value, kind, name, loaded_as)
                return value  # type: ignore[no-any-return]
            # Another version took this one's place meanwhile: the object may be made of both.

    def load_file_in_local_tg(
        self, file: str | PathLike[str] | IO[bytes], *, replacements: Mapping[str, str] | None = None
    ) -> Any:
        """Read a pickle that this version wrote, but into the classes of the current `tg`.

        `file` is a path or an open binary file. `replacements` name what has moved in the current `tg` since; see
        `RenamingUnpickler`. It is the caller's to know that the current classes can take the older state.
        """
        if isinstance(file, (str, PathLike)):
            with open(file, "rb") as opened:
                return self.load_file_in_local_tg(opened, replacements=replacements)
        here = Roots.of(roots_in(self.resources_location.parent), local_prefix())
        alike = {
            f"{uid}.{root}": here.here(root) for uid in (self.module_name, self._tree.alias) for root in here.names
        }
        return RenamingUnpickler(
            file, self.tg_import_path, here.here("tg"), alike=alike, replacements=replacements
        ).load()

    def convert(self, value: Value) -> Value:
        """A copy of an object of the local roots, or of another version, in the classes of this version.

        To a type checker it is of the type that it was. Types of different versions are different types. It is the caller's to know that these classes can take the other
        state. Raises what pickling raises, `AttributeError` or `ModuleNotFoundError` for what this version does not have.
        """
        from .converting import convert

        return convert(value, self._tree.make_importable(), roots_in(self.resources_location.parent))  # type: ignore[no-any-return]

    def unload(self) -> None:
        """Take this version out of `sys.modules` and off `sys.path`. It can be loaded again, as new modules."""
        self._tree.unload()

    def _check_kind(self, value: object, kind: Any, name: str, loaded_as: str) -> None:
        from .kinds import check_kind, name_in_package

        inside = name_in_package(kind, roots_in(self.resources_location.parent), loaded_as)
        classes = [(one.__module__, one.__qualname__) for one in type(value).__mro__]
        check_kind(value, kind, f"{name!r} of {self.module_name}", classes, inside)

    def _identity(self) -> tuple[int, int] | None:
        """Which folder it is that has this name at the moment; `None` when there is none."""
        try:
            found = self.resources_location.stat()
        except OSError:
            return None
        return found.st_ino, found.st_ctime_ns

    @property
    def _tree(self) -> ModuleTree:
        return ModuleTree(self.module_name, self.resources_location.parent)
