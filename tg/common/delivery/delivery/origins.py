"""Where code comes from, and so whether it will be there where the package lands.

The source tree travels; the standard library and installed distributions are there, or are installed from the
package's dependencies; everything else stays behind.
"""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from ..runtime.distributions import normalised
from ..runtime.roots import Roots, is_main
from .zipped_roots import is_in_a_zip_file

if TYPE_CHECKING:
    from .main_module import MainModule

__all__ = ["Origins", "distribution_names"]


@dataclass(frozen=True)
class Origins:
    """Tells code of the tree, of Python, of distributions and of the project apart.

    `portions` are the folders of each root, by its name; `distributions` the normalised names of the declared
    dependencies; `main` is what travels of the script or the notebook that is run, once that is known.
    """

    roots: Roots
    portions: Mapping[str, tuple[Path, ...]]
    distributions: frozenset[str] = field(default_factory=frozenset)
    main: MainModule | None = None

    def problem_of(self, definition: type | FunctionType) -> str | None:
        """Why a class or function that the payload refers to would not be there; `None` when it will."""
        module, name = definition.__module__, definition.__qualname__
        if "<lambda>" in name:
            return f"a lambda{_at(definition)}. Write it as a function, with def, at the top of a module"
        kind = "class" if isinstance(definition, type) else "function"
        if "<locals>" in name:
            return f"{kind} {name}{_at(definition)}, made inside a function. Move it to the top of its module"
        if is_main(module) and self.roots.inside(module) is None:
            return f"{kind} {name}{_at(definition)}, which is in __main__; {_why_not_main(self.roots)}"
        if self.roots.inside(module) is not None:
            return self._not_importable(definition, kind)
        where = self.project_file(module)
        if where is None:
            return None
        for root, portion in self._all_portions():
            if where.is_relative_to(portion):
                inside = where.relative_to(portion).with_suffix("")
                proper = ".".join([self.roots.here(root), *(part for part in inside.parts if part != "__init__")])
                return (
                    f"{kind} {module}.{name}{_at(definition)}, which is in {root}/ but was imported as {module}. "
                    f"Import it from {proper}"
                )
        hint = ""
        if "tg" in where.parts:
            hint = (
                " (that folder named tg is not one that this process imports tg from: a folder tg/ with an __init__.py "
                "hides all others, and then all of tg/ must be one folder)"
            )
        return f"{kind} {module}.{name}{_at(definition)}, which is outside {self.travelling}{hint} and will not be delivered. {_remedy(module)}"

    def problem_of_global(self, module: str, name: str) -> str | None:
        """The same for an object that is pickled by its name: a type variable, a sentinel."""
        if is_main(module):
            if self.roots.inside(module) is not None:
                return None
            return f"{name}, which is in __main__; {_why_not_main(self.roots)}"
        where = self.project_file(module)
        if where is None:
            return None
        return f"{module}.{name} ({where}), which is outside {self.travelling} and will not be delivered. {_remedy(module)}"

    def project_file(self, module: str) -> Path | None:
        """The file or folder of a module that will not be there: not of Python, and of no distribution."""
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or top == "__main__" or self.roots.inside(module) is not None:
            return None
        loaded = sys.modules.get(module)
        if loaded is not None and getattr(loaded, "__file__", None):
            places = [str(loaded.__file__)]
        elif loaded is not None and getattr(loaded, "__spec__", None) is None:
            places = [f"<{module}, made at run time>"]
        else:
            places = _places_of(top)
        outside = [place for place in places if not self.is_installed(place)]
        if not outside or len(outside) < len(places) or self.is_declared(top):
            return None
        return Path(os.path.abspath(outside[0]))

    def could_be_in_a_root(self, module: str) -> bool:
        """Whether a module that will not be there would be, if its top-level package were a root."""
        if is_main(module):
            return not self.roots.prefix
        where = self.project_file(module)
        if where is None or not (where.exists() or is_in_a_zip_file(where)) or "." in self.roots.prefix:
            return False
        return not any(where.is_relative_to(portion) for _, portion in self._all_portions())

    def _not_importable(self, definition: Any, kind: str) -> str | None:
        found: Any = sys.modules.get(definition.__module__)
        for part in definition.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is definition:
            return None
        there = "nothing is there" if found is None else "another object is there"
        again = (
            "It was defined anew after the object was made: make it again"
            if is_main(definition.__module__)
            else "After reloading a module, import its names again and make the job anew"
        )
        return f"{kind} {definition.__module__}.{definition.__qualname__}{_at(definition)}, but under that name {there}. {again}"

    def _all_portions(self) -> Iterator[tuple[str, Path]]:
        return ((root, portion) for root, portions in self.portions.items() for portion in portions)

    @property
    def travelling(self) -> str:
        """What travels, as one would say it: `tg/ and mycompany/`."""
        return " and ".join(f"{root}/" for root in self.roots.imported)

    def is_installed(self, place: str) -> bool:
        """Whether a file is Python's own or that of an installed distribution."""
        return os.path.realpath(place).startswith(self.installed) or place.startswith(self.installed)

    @cached_property
    def installed(self) -> tuple[str, ...]:
        """Folders of Python and of site-packages, each ending with a separator."""
        folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        folders |= {*site.getsitepackages(), site.getusersitepackages()}
        folders |= {entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages")}
        both = {folder for folder in folders if folder} | {os.path.realpath(folder) for folder in folders if folder}
        return tuple(folder.rstrip(os.sep) + os.sep for folder in sorted(both))

    def is_declared(self, top: str) -> bool:
        """Whether a declared dependency brings the module, from a folder of its own (editable installs)."""
        if not self.distributions:
            return False
        if normalised(top) in self.distributions:
            return True
        from .installed_distributions import InstalledDistributions

        return any(
            normalised(one) in self.distributions for one in InstalledDistributions.here().by_module.get(top, ())
        )


def _why_not_main(roots: Roots) -> str:
    if roots.prefix:
        return "what a package has in it delivers nothing else. Use the tg.common that is not in a package"
    from .main_source import MainSource

    try:
        MainSource.of_process()
    except LookupError as error:
        return str(error)
    return "its source was not asked for"


def _remedy(module: str) -> str:
    return f"Move it into tg/, or add {module.partition('.')[0]!r} to roots"


def distribution_names(requirements: Iterable[str]) -> frozenset[str]:
    """The normalised names (PEP 503) in a list of requirements."""
    names = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement) for requirement in requirements)
    return frozenset(normalised(match[1]) for match in names if match)


def _places_of(top: str) -> list[str]:
    """Where a top-level module would be imported from; nowhere when it is not there, is frozen or built in."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.has_location and spec.origin:
        return [spec.origin]
    return list(spec.submodule_search_locations or ())


def _at(definition: Any) -> str:
    """` (file:line)` of a class or function, as far as Python knows it."""
    code = _code_of(definition)
    place = (code.co_filename, code.co_firstlineno) if code else None
    if isinstance(definition, type):
        import inspect

        with suppress(OSError, TypeError):  # made by exec, in a notebook, or compiled: a method's place will do
            place = inspect.getsourcefile(definition) or "", inspect.getsourcelines(definition)[1]
    if place is None:
        return ""
    if is_main(definition.__module__) and not os.path.isfile(place[0]):
        from .main_source import place_in_cells

        return f" ({place_in_cells(*place)})"
    return " ({}:{})".format(*place)


def _code_of(definition: Any) -> CodeType | None:
    if isinstance(definition, FunctionType):
        return definition.__code__
    for value in vars(definition).values():
        if isinstance(value, FunctionType) and value.__module__ == definition.__module__:
            return value.__code__
    return None
