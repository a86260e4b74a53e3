"""The distributions that roots are from: their metadata travels with the source, since libraries ask for their own.

`importlib.metadata.version("mycompany")` is how many a module knows its version. In a package the metadata lies in
`UID/distributions/`, and `runtime/distributions.py` finds it.
"""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.distributions import FOLDER, normalised
from ..runtime.roots import Roots
from .installed_distributions import InstalledDistributions
from .zipped_roots import unpacked

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["distributions_in", "distributions_of", "metadata_files", "missing_files"]

_FILES = frozenset({"METADATA", "PKG-INFO", "entry_points.txt"})


def distributions_of(roots: Roots, portions: Mapping[str, tuple[Path, ...]]) -> list[tuple[str, str]]:
    """The roots that distributions are known of, each with the name of one; those of a package have brought what they have."""
    if roots.prefix or len(roots.imported) == 1:
        return []
    brought = InstalledDistributions.here().by_module
    found = []
    for root in roots.imported:
        if root != "tg":
            names = brought.get(root) or _editable({os.path.realpath(one.parent) for one in portions[root]})
            found += [(root, name) for name in names]
    return found


def metadata_files(roots: Roots, distributions: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, Path]]:
    """Of each distribution: the path that a file of its metadata has in a package, where it lies, and in which folder."""
    if roots.prefix:
        folder = Path(sys.modules[roots.prefix.partition(".")[0]].__path__[0])
        for there in sorted(folder.glob(f"{FOLDER}/*/*")):
            yield there.relative_to(folder).as_posix(), str(there), there.parent
    for name in sorted({name for _, name in distributions}):
        from importlib.metadata import distribution  # only here, since it takes as long as the rest of making

        found = distribution(name)
        folder_of_metadata = _metadata_folder(found, name)
        for place in sorted(folder_of_metadata.iterdir()) if folder_of_metadata is not None else ():
            if place.name in _FILES:
                kind = "METADATA" if place.name == "PKG-INFO" else place.name
                yield f"{FOLDER}/{name}-{found.version}.dist-info/{kind}", str(place), place.parent


def missing_files(distributions: Iterable[tuple[str, str]], portions: Mapping[str, tuple[Path, ...]]) -> Iterator[str]:
    """What is to be said of roots that are only partly installed: files that their distribution has brought, and that are gone."""
    for root, name in distributions:
        from importlib.metadata import distribution

        found = distribution(name)
        gone = []
        # Not `files`, which leaves out what is gone, since Python 3.12.
        for path, *_ in csv.reader((found.read_text("RECORD") or "").splitlines()):
            place = os.path.abspath(str(found.locate_file(path)))
            if path.startswith(f"{root}/") and not path.endswith((".pyc", ".pyo")):
                ours = any(place.startswith(f"{portion}{os.sep}") for portion in portions[root])
                gone += [place] if ours and not os.path.lexists(place) else []
        if gone:
            more = f" and {len(gone) - 1} more files" if len(gone) > 1 else ""
            yield (
                f"{root}/ is only partly installed: {name} has brought {gone[0]}{more}, gone since. What needs them fails where "
                f"the package lands as it does here. Install {name} again if anything does."
            )


def _metadata_folder(found: Distribution, name: str) -> Path | None:
    """Where the metadata of a distribution lies: as a wheel is installed, as setuptools leaves it, or in an egg."""
    above = str(found.locate_file(""))
    stems = dict.fromkeys((name, name.replace("-", "_"), normalised(name).replace("-", "_")))
    names = [f"{stem}-{found.version}.dist-info" for stem in stems]
    names += [f"{stem}{version}.egg-info" for stem in stems for version in ("", f"-{found.version}")]
    listed = {file.parts[0] for file in found.files or () if len(file.parts) == 2 and file.name in _FILES}
    own = [one for one in sorted(listed) if one.endswith((".dist-info", ".egg-info"))]
    for one in (*own, *names, "EGG-INFO"):
        folder = os.path.join(above, one)
        place = Path(os.path.abspath(folder)) if os.path.isdir(folder) else unpacked(folder)
        if place is not None:
            return place
    return None


def _editable(folders: set[str]) -> list[str]:
    """The distributions that have put one of these folders on `sys.path`: by a `.pth` file, which is all that they have installed."""
    files = {path for entry in sys.path for path in Path(entry).glob("*.pth")}
    naming = {path.name for path in files if any(os.path.realpath(line) in folders for line in _folders_in(path))}
    if not naming:
        return []
    from importlib.metadata import distributions

    found = {str(one.metadata["Name"]) for one in distributions() if naming & {file.name for file in one.files or ()}}
    return sorted(found)


def _folders_in(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if os.path.isabs(line)]
    except (OSError, UnicodeDecodeError):
        return []


def distributions_in(paths: Iterable[str]) -> tuple[str, ...]:
    """The normalised names of the distributions whose metadata is among the files of a package."""
    names = {match[1] for path in paths if (match := re.match(rf"{FOLDER}/(.+)-[^-/]+\.dist-info/", path))}
    return tuple(sorted(map(normalised, names)))
