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
    if package.package_location is None:
        package.make_package()
    assert package.package_location is not None
    return package.package_location
