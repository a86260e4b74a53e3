"""Roots: the top-level packages that travel together, by what they are called in this process.

In a project they are `tg` and `mycompany`, in a package `UID.tg` and `UID.mycompany`. What comes before is the *prefix*;
the dotted name without it is the same everywhere, and is what a package is made from.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Roots", "local_prefix", "roots_in", "roots_of_package"]

_TREE = "tg"


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
    """Some roots, sorted; `tg` is always one, since what runs a package lies in it."""

    names: tuple[str, ...]
    prefix: str

    @classmethod
    def of(cls, names: Iterable[str], prefix: str) -> Roots:
        """Roots of these names, and `tg`."""
        return cls(tuple(sorted({_TREE, *names})), prefix)

    def inside(self, module: str) -> str | None:
        """The name that a module of this process has inside a package; `None` when it is in none of the roots."""
        if not module.startswith(self.prefix):
            return None
        name = module[len(self.prefix) :]
        return name if name.partition(".")[0] in self.names else None

    def here(self, name: str) -> str:
        """What a module of that name inside a package is called in this process."""
        return self.prefix + name
