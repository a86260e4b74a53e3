"""Roots that lie in a zip file or an egg on `sys.path`: their files, unpacked into `Loc.cache`, by what they hold.

What importing would find there is what travels: the root's own files. Compiled modules in a zip file are not among them, since
nothing is imported from one but source.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from ...locations import Loc
from ..runtime.errors import UndeliverableSource
from ..runtime.whole_files import make_private_folder, unfinished_folder
from .shared_library import LIBRARY_NAME
from .storage import storing

__all__ = ["is_in_a_zip_file", "unpacked"]


def is_in_a_zip_file(place: str | os.PathLike[str]) -> bool:
    """Whether a path leads on into a zip file, as `zipimport` writes them: `/x/eggs.zip/eggs/model.py`."""
    return _archive_of(os.fspath(place)) is not None


def unpacked(entry: str) -> Path | None:
    """The folder or file that is what a path of `zipimport` names; `None` where there is no zip file on the way.

    Raises `UndeliverableSource` when the file cannot be read, `StorageProblem` when it cannot be unpacked.
    """
    archive = _archive_of(entry)
    if archive is None:
        return None
    inside = os.path.relpath(entry, archive).replace(os.sep, "/")
    files = _files_in(archive, inside)
    if not files:
        return None
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{name}\n{len(data)}\n".encode())
        digest.update(data)
    folder = Loc.cache / "unpacked" / digest.hexdigest()[:32]
    if not _has(folder, files):
        with storing(f"{entry} cannot be unpacked", folder.parent):
            _unpack(folder, files)
    return folder / inside.rpartition("/")[2]


def _archive_of(place: str) -> str | None:
    path = os.path.abspath(place)
    if os.path.exists(path):
        return None
    while not os.path.exists(path):
        above = os.path.dirname(path)
        if above == path:
            return None
        path = above
    import zipfile  # here, since it takes as long as looking through a small tree, and hardly any root needs it

    return path if os.path.isfile(path) and zipfile.is_zipfile(path) else None


def _files_in(archive: str, inside: str) -> Mapping[str, bytes]:
    """What is below `inside`, or that one file, by the path that begins with the last part of it."""
    import zipfile
    import zlib

    above = len(inside.rpartition("/")[0]) + 1 if "/" in inside else 0
    try:
        with zipfile.ZipFile(archive) as opened:
            return {
                name[above:]: opened.read(name)
                for name in opened.namelist()
                if (name == inside or name.startswith(f"{inside}/"))
                and not name.endswith("/")
                and ".." not in name.split("/")
                and not LIBRARY_NAME.search(name)
            }
    except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        message = (
            f"{archive} has {inside} in it and cannot be read: {error}. Unpack it, and put the folder on sys.path."
        )
        raise UndeliverableSource("source tree cannot be delivered", [message]) from error


def _has(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether what was unpacked earlier is there, and nothing else: folders of a cache are tidied up by others as well."""
    there = sum(len(names) for _, _, names in os.walk(folder))
    try:
        return there == len(files) and all((folder / name).read_bytes() == data for name, data in files.items())
    except OSError:
        return False


def _unpack(folder: Path, files: Mapping[str, bytes]) -> None:
    make_private_folder(folder.parent)
    with unfinished_folder(folder.parent) as temporary:
        made = temporary / "files"
        for name, data in files.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(data)
        if folder.is_dir() and not _has(folder, files):
            os.rename(folder, temporary / "damaged")
        try:
            os.rename(made, folder)
        except OSError:
            if not _has(folder, files):  # otherwise another process was first
                raise
