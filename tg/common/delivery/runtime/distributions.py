"""Distributions inside a package: what `importlib.metadata` answers to `UID.mycompany`.

The metadata of a root's distribution lies in `UID/distributions/`. Relocated source asks for it with the package's name
before it, as it does for modules, and `version(__name__)` does so by itself: then this finder answers, out of that package.
Nothing else is answered, so what is installed under the plain name, if anything is, stays what everybody else gets.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["FOLDER", "answer_for_packages", "normalised"]

FOLDER = "distributions"


def normalised(name: str) -> str:
    """The name of a distribution as names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def answer_for_packages() -> None:
    """See to it that distributions of packages are found in this process; whichever package came first does it for all."""
    if not any(type(finder).__qualname__ == _DistributionsOfPackages.__qualname__ for finder in sys.meta_path):
        sys.meta_path.append(_DistributionsOfPackages())


class _DistributionsOfPackages:
    """Finds no modules, and distributions by `UID.name` alone; one of `sys.meta_path`."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Nothing: packages are found as all modules are."""
        return

    def find_distributions(self, context: Any = None) -> Iterator[Distribution]:
        """See `importlib.metadata.DistributionFinder`."""
        from importlib.metadata import PathDistribution  # by whoever asks, it has been imported

        uid, _, name = (getattr(context, "name", None) or "").partition(".")
        for entry in getattr(sys.modules.get(uid), "__path__", ()) if name else ():
            for folder in sorted(Path(entry, FOLDER).glob("*.dist-info")):
                if normalised(folder.name.removesuffix(".dist-info").rpartition("-")[0]) == normalised(name):
                    yield PathDistribution(folder)
