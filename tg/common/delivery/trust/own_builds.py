"""Own builds: the packages that this user has made on this machine, by their seals.

A file for each, below a folder that is nobody else's to write to. Deleting it makes them packages like any other.
"""

from __future__ import annotations

import os
import stat

from ...locations import Loc
from ..runtime.whole_files import make_private_folder

__all__ = ["is_own_build", "note_own_build"]


def note_own_build(seal: str) -> None:
    """Remember that a package was made here."""
    folder = Loc.trust / "built"
    make_private_folder(folder)
    os.close(os.open(folder / seal, os.O_WRONLY | os.O_CREAT, 0o600))


def is_own_build(seal: str) -> bool:
    """Whether it was, by whoever runs this process."""
    folder = Loc.trust / "built"
    try:
        found, place = os.stat(folder / seal, follow_symlinks=False), os.stat(folder)
    except OSError:
        return False
    return found.st_uid == place.st_uid == os.geteuid() and not stat.S_IMODE(place.st_mode) & 0o022
