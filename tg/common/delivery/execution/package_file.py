"""The file of a package: what executors take for one, made where it has to be."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..delivery.packaging import Packaging

__all__ = ["package_file"]


def package_file(package: Packaging | str | PathLike[str]) -> Path:
    """The file of a package: made by these settings, now if it was not yet, or lying there."""
    if isinstance(package, (str, PathLike)):
        return Path(package).absolute()
    if not package.is_made:
        package.make_package()
    return package.package_location
