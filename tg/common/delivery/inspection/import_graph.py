"""The graph of imports: the modules of a package that its payload needs, by reading their source. Nothing of it is run."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from ..delivery.closure import modules_meant_by
from ..delivery.imports import Import, imports_of
from ..delivery.inspecting import PackageReport
from ..delivery.shared_library import compiled_module
from ..delivery.wheel import WheelReader
from ..runtime.roots import Roots

__all__ = ["ImportGraph", "ImportedModule"]


@dataclass(frozen=True)
class ImportedModule:
    """A module of the package: what of it the module imports, and what from elsewhere, each with whether it goes on without."""

    path: str
    inside: dict[str, bool]
    outside: dict[str, bool]


@dataclass(frozen=True)
class ImportGraph:
    """The modules that the payload needs, by their names inside the package, and what each resource names of them."""

    modules: dict[str, ImportedModule]
    resources: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, report: PackageReport, wheel: WheelReader) -> ImportGraph:
        """The graph of a package that is open; `report` is what was found in it."""
        folder = f"{report.facts.module_name}/"
        known = dict(_modules(path.removeprefix(folder) for path in wheel.members if path.startswith(folder)))
        roots = Roots.of(report.facts.roots, f"{report.facts.module_name}.")
        named: dict[str, tuple[str, ...]] = {}
        for resource in report.resources:
            inside = (roots.inside(one.module) for one in resource.references)
            named[resource.key] = tuple(dict.fromkeys(name for one in inside if one and (name := _known(one, known))))
        found: dict[str, ImportedModule] = {}
        waiting = [name for names in named.values() for name in names]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            path = known[name]
            module = ImportedModule(path, {}, {})
            found[name] = module
            if (parent := _known(name.rpartition(".")[0], known)) is not None:
                waiting.append(parent)
            package = name if path.endswith("__init__.py") else name.rpartition(".")[0]
            for one in _imports(wheel, f"{folder}{path}"):
                if one.level == 0:
                    top = one.module.partition(".")[0]
                    if top not in sys.stdlib_module_names:
                        module.outside[top] = module.outside.get(top, True) and one.optional
                    continue
                # The last that is a module is the one that is meant; the packages above it come with it.
                meant = [target for asked in modules_meant_by(one, package) if (target := _known(asked, known))]
                if meant and meant[-1] != name:
                    module.inside[meant[-1]] = module.inside.get(meant[-1], True) and one.optional
                    waiting.append(meant[-1])
        return cls(dict(sorted(found.items())), named)


def _modules(paths: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Dotted names and paths in `UID/`, compiled ones too."""
    for path in paths:
        if path in ("__init__.py", "__main__.py") or path.startswith("resources/"):
            continue
        if path.endswith(".py"):
            yield path.removesuffix(".py").removesuffix("/__init__").replace("/", "."), path
        elif (compiled := compiled_module(path)) is not None:
            yield compiled, path


def _known(name: str, known: dict[str, str]) -> str | None:
    """The module that a dotted name is in."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def _imports(wheel: WheelReader, member: str) -> list[Import]:
    if not member.endswith(".py"):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a package's odd escapes are not what is looked for here
            return imports_of(bytes(wheel.data(member)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
