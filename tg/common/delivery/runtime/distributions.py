"""Distributions inside a package: what `importlib.metadata` answers to `UID.mycompany`.

The metadata of a root's distribution lies in `UID/distributions/`. Relocated source asks for it with the package's name
before it, as it does for modules, and `version(__name__)` does so by itself: then this finder answers, out of that package.
Nothing else is answered, so what is installed under the plain name, if anything is, stays what everybody else gets.

Entry points that such a distribution declares lead into the package: `mycompany.x:make` is `UID.mycompany.x:make` there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .roots import roots_of_package

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["FOLDER", "answer_for_packages", "distributions_of", "normalised"]

FOLDER = "distributions"


def normalised(name: str) -> str:
    """The name of a distribution as names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def answer_for_packages() -> None:
    """See to it that distributions of packages are found in this process; whichever package came first does it for all."""
    if not any(type(finder).__qualname__ == _DistributionsOfPackages.__qualname__ for finder in sys.meta_path):
        sys.meta_path.append(_DistributionsOfPackages())


def distributions_of(uid: str) -> Iterator[Distribution]:
    """The distributions in the package that is loaded as `uid`."""
    from importlib.metadata import PathDistribution  # by whoever asks, it has been imported

    class DistributionOfPackage(PathDistribution):
        def read_text(self, filename: Any) -> str | None:
            text = super().read_text(filename)
            return _relocated(text, uid) if text and filename == "entry_points.txt" else text

    for entry in getattr(sys.modules[uid], "__path__", ()):
        yield from map(DistributionOfPackage, sorted(Path(entry, FOLDER).glob("*.dist-info")))


def _relocated(entry_points: str, uid: str) -> str:
    """The text of `entry_points.txt` with the package's name before those of its modules."""
    roots = "|".join(map(re.escape, roots_of_package(uid)))
    return re.sub(rf"^([^=#\[\n]+=\s*)((?:{roots})\b)", rf"\g<1>{uid}.\2", entry_points, flags=re.MULTILINE)


class _DistributionsOfPackages:
    """Finds no modules, and distributions by `UID.name` alone; one of `sys.meta_path`."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Nothing: packages are found as all modules are."""
        return

    def find_distributions(self, context: Any = None) -> Iterator[Distribution]:
        """See `importlib.metadata.DistributionFinder`."""
        uid, _, name = (getattr(context, "name", None) or "").partition(".")
        if name and uid in sys.modules:
            yield from (
                found for found in distributions_of(uid) if normalised(found.metadata["Name"]) == normalised(name)
            )
