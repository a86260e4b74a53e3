"""The distributions that roots are from: their metadata travels with the source, since libraries ask for their own.

`importlib.metadata.version("mycompany")` is how many a module knows its version. In a package the metadata lies in
`UID/distributions/`, and `runtime/distributions.py` finds it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..runtime.distributions import FOLDER, normalised
from ..runtime.roots import Roots

__all__ = ["distributions_in", "metadata_files"]

_FILES = frozenset({"METADATA", "PKG-INFO", "entry_points.txt"})


def metadata_files(roots: Roots) -> Iterator[tuple[str, str, Path]]:
    """Of each distribution: the path that a file of its metadata has in a package, where it lies, and in which folder."""
    if roots.prefix:
        folder = Path(sys.modules[roots.prefix.partition(".")[0]].__path__[0])
        for there in sorted(folder.glob(f"{FOLDER}/*/*")):
            yield there.relative_to(folder).as_posix(), str(there), there.parent
        return
    if len(roots.imported) == 1:
        return
    from importlib.metadata import distribution  # only here, since it takes as long as the rest of making

    from .installed_distributions import distributions_by_module

    brought = distributions_by_module()
    for name in sorted({one for root in roots.imported if root != "tg" for one in brought.get(root, ())}):
        found = distribution(name)
        for file in found.files or ():
            if file.name in _FILES and file.parent.name.endswith((".dist-info", ".egg-info")):
                place = Path(os.path.abspath(str(file.locate())))
                if place.is_file():
                    kind = "METADATA" if file.name == "PKG-INFO" else file.name
                    yield f"{FOLDER}/{name}-{found.version}.dist-info/{kind}", str(place), place.parent


def distributions_in(paths: Iterable[str]) -> tuple[str, ...]:
    """The normalised names of the distributions whose metadata is among the files of a package."""
    names = {match[1] for path in paths if (match := re.match(rf"{FOLDER}/(.+)-[^-/]+\.dist-info/", path))}
    return tuple(sorted(map(normalised, names)))
