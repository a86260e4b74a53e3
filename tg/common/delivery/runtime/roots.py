"""Roots: the top-level packages that travel together, by what they are called in this process.

In a project they are `tg` and `mycompany`, in a package `UID.tg` and `UID.mycompany`. What comes before is the *prefix*;
the dotted name without it is the same everywhere, and is what a package is made from.

One root has two names: the script or the notebook that is run is `__main__` in its own process, and `UID.main` in a package.
`package.json` lists it as `__main__`, which no folder is called, so it is never taken for somebody's module `main`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MAIN", "Roots", "is_main", "local_prefix", "roots_in", "roots_of_package"]

MAIN = "__main__"
"""The root that is what was run."""

_MAIN_INSIDE = "main"
_MAIN_HERE = frozenset({MAIN, "__mp_main__"})
"""The second is what children of `multiprocessing` call the script of their parent, and `__main__` as well."""

_TREE = "tg"


def is_main(module: str) -> bool:
    """Whether a module of this process is what was run."""
    return module in _MAIN_HERE


def local_prefix() -> str:
    """What stands before the roots' names where this module lies: nothing, or `UID.` inside a delivered package."""
    return __name__[: -len(f"{_TREE}.common.delivery.runtime.roots")]


def roots_of_package(module: str) -> tuple[str, ...]:
    """What the package says that is loaded as `module`; `tg` alone where it is from before there were several."""
    return roots_in(Path(sys.modules[module].__path__[0]))


def roots_in(folder: Path) -> tuple[str, ...]:
    """The same for the package whose folder `UID/` is given."""
    return tuple(json.loads((folder / "package.json").read_bytes()).get("roots", (_TREE,)))


@dataclass(frozen=True)
class Roots:
    """Some roots by their names inside a package, sorted; `tg` is always one, since what runs a package lies in it.

    `has_main`: the one named `main` is what was run.
    """

    names: tuple[str, ...]
    prefix: str
    has_main: bool = False

    @classmethod
    def of(cls, listed: Iterable[str], prefix: str) -> Roots:
        """Roots as they are listed, with `__main__` for what was run, and `tg`."""
        given = {_TREE, *listed}
        has_main = MAIN in given
        return cls(tuple(sorted(given - {MAIN} | {_MAIN_INSIDE} if has_main else given)), prefix, has_main)

    @property
    def listed(self) -> tuple[str, ...]:
        """The roots as `package.json` lists them."""
        return tuple(sorted(MAIN if self._is_main(name) else name for name in self.names))

    @property
    def imported(self) -> tuple[str, ...]:
        """Those that source imports by their names; what was run is imported by nobody."""
        return tuple(name for name in self.names if not self._is_main(name))

    def inside(self, module: str) -> str | None:
        """The name that a module of this process has inside a package; `None` when it is in none of the roots."""
        top = module.partition(".")[0]
        if self.has_main and not self.prefix and (top in _MAIN_HERE or top == _MAIN_INSIDE):
            return _MAIN_INSIDE if module in _MAIN_HERE else None
        if not module.startswith(self.prefix):
            return None
        name = module[len(self.prefix) :]
        return name if name.partition(".")[0] in self.names else None

    def here(self, name: str) -> str:
        """What a module of that name inside a package is called in this process."""
        return MAIN if self._is_main(name) and not self.prefix else self.prefix + name

    def _is_main(self, name: str) -> bool:
        return self.has_main and name == _MAIN_INSIDE
