"""The distributions that roots are from: their metadata travels with the source, since libraries ask for their own.

`importlib.metadata.version("mycompany")` is how many a module knows its version. In a package the metadata lies in
`UID/distributions/`, and `runtime/distributions.py` finds it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..runtime.distributions import FOLDER, normalised
from ..runtime.roots import Roots

__all__ = ["distributions_in", "metadata_files", "missing_files"]

_FILES = frozenset({"METADATA", "PKG-INFO", "entry_points.txt"})


def metadata_files(roots: Roots, portions: Mapping[str, tuple[Path, ...]]) -> Iterator[tuple[str, str, Path]]:
    """Of each distribution: the path that a file of its metadata has in a package, where it lies, and in which folder."""
    if roots.prefix:
        folder = Path(sys.modules[roots.prefix.partition(".")[0]].__path__[0])
        for there in sorted(folder.glob(f"{FOLDER}/*/*")):
            yield there.relative_to(folder).as_posix(), str(there), there.parent
        return
    if len(roots.names) == 1:
        return
    from importlib.metadata import distribution  # only here, since it takes as long as the rest of making

    for name in sorted({name for _, name in _brought(roots, portions)}):
        found = distribution(name)
        for file in found.files or ():
            if file.name in _FILES and file.parent.name.endswith((".dist-info", ".egg-info")):
                place = Path(os.path.abspath(str(file.locate())))
                if place.is_file():
                    kind = "METADATA" if file.name == "PKG-INFO" else file.name
                    yield f"{FOLDER}/{name}-{found.version}.dist-info/{kind}", str(place), place.parent


def missing_files(roots: Roots, portions: Mapping[str, tuple[Path, ...]]) -> Iterator[str]:
    """What is to be said of roots that are only partly installed: files that their distribution has brought, and that are gone."""
    if roots.prefix or len(roots.names) == 1:
        return
    from importlib.metadata import distribution

    for root, name in _brought(roots, portions):
        gone = []
        for file in distribution(name).files or ():
            ours = file.parts[0] == root and file.suffix not in (".pyc", ".pyo")
            place = str(file.locate())
            if ours and any(place.startswith(f"{portion}{os.sep}") for portion in portions[root]):
                gone += [] if os.path.lexists(place) else [place]
        if gone:
            more = f" and {len(gone) - 1} more files" if len(gone) > 1 else ""
            yield (
                f"{root}/ is only partly installed: {name} has brought {gone[0]}{more}, gone since. What needs them fails where "
                f"the package lands as it does here. Install {name} again if anything does."
            )


def _brought(roots: Roots, portions: Mapping[str, tuple[Path, ...]]) -> list[tuple[str, str]]:
    """The roots, each with the names of the distributions that it is from."""
    from .installed_distributions import distributions_by_module

    brought = distributions_by_module()
    found = []
    for root in roots.names:
        if root != "tg":
            names = brought.get(root) or _editable({os.path.realpath(one.parent) for one in portions[root]})
            found += [(root, name) for name in names]
    return found


def _editable(folders: set[str]) -> list[str]:
    """The distributions that have put one of these folders on `sys.path`: by a `.pth` file, which is all that they have installed."""
    from importlib.metadata import distributions

    found = set()
    for distribution in distributions():
        for file in distribution.files or ():
            if file.suffix == ".pth" and Path(str(file.locate())).is_file():
                lines = file.read_text("utf-8").splitlines()
                if any(os.path.isabs(line) and os.path.realpath(line) in folders for line in lines):
                    found.add(str(distribution.metadata["Name"]))
    return sorted(found)


def distributions_in(paths: Iterable[str]) -> tuple[str, ...]:
    """The normalised names of the distributions whose metadata is among the files of a package."""
    names = {match[1] for path in paths if (match := re.match(rf"{FOLDER}/(.+)-[^-/]+\.dist-info/", path))}
    return tuple(sorted(map(normalised, names)))
