"""Uses: what the payload needs from outside of the package, and the installed distributions that brought it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..runtime.roots import is_main
from .closure import Closure, OutsideImport
from .installed_distributions import InstalledDistribution, InstalledDistributions
from .pickling import PickledResource

__all__ = ["Use", "uses_of"]


@dataclass(frozen=True)
class Use:
    """A module that is imported, or named by a pickle; `distributions` is empty where none that is installed has it.

    `optional`: the code goes on without it; `in_installed_code`: that code is a root which is installed itself.
    """

    module: str
    place: str
    optional: bool
    distributions: tuple[InstalledDistribution, ...]
    in_installed_code: bool = False

    def __str__(self) -> str:
        return f"{self.place} {'is made of' if self.place.startswith('payload[') else 'imports'} {self.module}"


def uses_of(closure: Closure, resources: Iterable[PickledResource], installed: InstalledDistributions) -> Iterator[Use]:
    """Everything that the needed modules import and the resources name, but for what is Python's own."""
    pickled = sorted({(module, one.key) for one in resources for module in one.foreign})
    imports = [*closure.outside, *(OutsideImport(module, f"payload[{key!r}]", False) for module, key in pickled)]
    for one in imports:
        if not _is_of_python(one.module) and not is_main(one.module):
            # For want of what is here, nothing is imported.
            is_in_vain = bool(one.instead_of) and all(
                _is_of_python(module) or installed.that_have(module) for module in one.instead_of
            )
            optional = one.optional or is_in_vain
            yield Use(one.module, one.place, optional, installed.that_have(one.module), one.in_installed_code)


def _is_of_python(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names
