"""The import closure: the modules of the tree that the payload needs, directly and through others.

Everything in the tree travels, needed or not. The closure tells which problems matter: a module in it that does not
parse, that imports code of the project outside the tree, or that no longer defines what the payload refers to, would
fail where the package lands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from typing import NamedTuple

from .imports import Import
from .origins import Origins
from .relative_names import is_ours
from .snapshot import Snapshot, SnapshotFile

__all__ = ["Closure", "OutsideImport", "modules_meant_by"]


class OutsideImport(NamedTuple):
    """An import of something that does not travel: the module or what of it, the place, and whether it can be missing.

    `instead_of` are modules for want of one of which it is imported. `in_installed_code`: it stands in a root that is installed, and
    so in nobody's code of this project.
    """

    module: str
    place: str
    optional: bool
    instead_of: tuple[str, ...] = ()
    in_installed_code: bool = False


@dataclass(frozen=True)
class Closure:
    """The needed modules' files, what they import from elsewhere, and what in them would fail."""

    files: tuple[SnapshotFile, ...]
    outside: tuple[OutsideImport, ...]
    problems: tuple[str, ...]
    modules: frozenset[str]
    """The dotted names that the payload and the closure's imports have asked for; some are of modules, compiled ones too."""

    @classmethod
    def of(cls, definitions: Iterable[tuple[str, str]], snapshot: Snapshot, origins: Origins) -> Closure:
        """The closure of classes and functions, given by their modules inside the package and their qualified names."""
        roots = snapshot.tree.roots
        definitions = sorted(set(definitions))
        known = {name: snapshot.by_path[file.path] for name, file in snapshot.tree.module_files().items()}
        waiting = [module for module, _ in definitions]
        asked: set[str] = set()
        files: dict[str, SnapshotFile] = {}
        outside: list[OutsideImport] = []
        problems: list[str] = []
        installed: dict[str, bool] = {}
        while waiting:
            name = waiting.pop()
            asked.add(name)
            while name and name not in known:  # a name in a module, a compiled one, or a package without __init__.py
                name = name.rpartition(".")[0]
                asked.add(name)
            if name in files or name not in known:
                continue
            file = files[name] = known[name]
            if "." in name:
                waiting.append(name.rpartition(".")[0])
            try:
                imports = file.imports()
            except (SyntaxError, ValueError) as error:  # ValueError: null bytes, before Python 3.12
                line, message = (error.lineno, error.msg) if isinstance(error, SyntaxError) else (1, str(error))
                problems.append(
                    f"{file.source.place(line or 1)} does not parse ({message}), and the payload needs it. Correct it."
                )
                continue
            package = name if file.path.endswith("/__init__.py") else name.rpartition(".")[0]
            portion = str(file.source.portion)
            if portion not in installed:
                installed[portion] = origins.is_installed(portion)
            for imported in imports:
                inside = modules_meant_by(imported, package)
                if inside and imported.module and not imported.optional and not _is_there(inside[0], known, snapshot):
                    problems.append(
                        f"{file.source.place(imported.line)} imports {roots.here(inside[0])}, which is not in "
                        f"{inside[0].partition('.')[0]}/. Add it, or remove the import."
                    )
                waiting += inside
                left_behind = _outside(imported, file, origins)
                problems += left_behind
                if (
                    imported.level == 0 and not left_behind and not is_ours(file.path)
                ):  # what delivery needs is its own matter
                    place = file.source.place(imported.line)
                    named = f".{imported.name}" if imported.name not in (None, "*") else ""
                    what = imported.module + named
                    outside.append(
                        OutsideImport(what, place, imported.optional, imported.instead_of, installed[portion])
                    )
        problems += _stale(definitions, snapshot, known)
        return cls(tuple(files.values()), tuple(outside), tuple(problems), frozenset(asked))


def _stale(
    definitions: Iterable[tuple[str, str]], snapshot: Snapshot, known: Mapping[str, SnapshotFile]
) -> Iterator[str]:
    """What the payload refers to and the files no longer define.

    Objects come from memory and source from the disk; what was edited since it was imported may not fit.
    """
    said = "It was changed after it was imported. Import it anew (restart the process), and make the job again."
    for module, name in definitions:
        file = known.get(module)
        if any(module.replace(".", "/") + suffix in snapshot.by_path for suffix in EXTENSION_SUFFIXES):
            continue  # compiled, and nobody can read what it defines
        module = snapshot.tree.roots.here(module)
        if file is None:
            yield f"payload refers to {module}.{name}, but the tree has no module {module} any more. {said}"
            continue
        top = re.escape(name.split(".")[0].encode())
        if not re.search(rb"\b%b\b|import\s*\*|globals|exec|setattr" % top, file.data):
            yield f"payload refers to {module}.{name}, which {file.source.location} does not define. {said}"


def _is_there(module: str, known: Mapping[str, object], snapshot: Snapshot) -> bool:
    """Whether a dotted name inside the package is a module, a compiled one, or a folder."""
    path = module.replace(".", "/")
    return module in known or any(other.startswith((path + "/", path + ".")) for other in snapshot.by_path)


def modules_meant_by(imported: Import, package: str) -> list[str]:
    """The modules of the tree that an import may mean: relocated source names its own tree only relatively."""
    if imported.level == 0:
        return []
    parts = package.split(".") if package else []
    base = parts[: len(parts) - (imported.level - 1)] if imported.level <= len(parts) + 1 else []
    whole = [*base, *(imported.module.split(".") if imported.module else [])]
    return [".".join(whole), *([".".join([*whole, imported.name])] if imported.name else [])]


def _outside(imported: Import, file: SnapshotFile, origins: Origins) -> list[str]:
    if imported.level or imported.optional:
        return []
    where = origins.project_file(imported.module)
    if where is None:
        return []
    return [
        f"job uses {imported.module} ({file.source.place(imported.line)}), which is outside {origins.travelling} ({where}) and will not "
        f"be delivered. Move it under tg/, add {imported.module.partition('.')[0]!r} to roots, pass the value in the payload, or "
        f"declare the distribution that brings it."
    ]
