"""Resources: the payload's objects as files of the package.

`resources/job` is a pickle, protocol 5. Buffers of 64 KiB and more (arrays, frames, tensors, bytes) are not in it:
they lie beside it, one file each, in `resources/job.buffers/`, and are mapped into memory, copy on write. So loading
reads none of them, several processes share their pages, and changing an array changes no file.

Where the package can be imported, plain Python reads a resource; these two lines are all that happens here:

    buffers = [open(path, "rb").read() for path in sorted(glob("resources/job.buffers/*"))]
    job = pickle.load(open("resources/job", "rb"), buffers=buffers)

(an array read like that is read-only where the bytes are; map the file with `mmap.ACCESS_COPY` to have it writable).
"""

from __future__ import annotations

import mmap
import os
import pickle
from pathlib import Path
from typing import Any

from .errors import PackageNotFound
from .unpickling import RenamingUnpickler

__all__ = ["BUFFER_THRESHOLD_BYTES", "buffer_member", "list_resources", "load_resource", "sizes"]

BUFFER_THRESHOLD_BYTES = 64 * 1024
_SUFFIX = ".buffers"


def buffer_member(key: str, index: int) -> str:
    """The name, below `resources/`, of the buffer `index` of the resource `key`: sorted names are in load order."""
    return f"{key}{_SUFFIX}/{index:06d}"


def list_resources(folder: Path) -> list[str]:
    """The names of the resources in a folder `resources/`."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())


def sizes(folder: Path) -> dict[str, int]:
    """How many bytes each resource in a folder `resources/` has, its buffers among them; none where the folder is gone."""
    if not folder.is_dir():
        return {}
    return {
        key: sum(file.stat().st_size for file in (folder / key, *folder.glob(f"{key}{_SUFFIX}/*")))
        for key in list_resources(folder)
    }


def load_resource(folder: Path, key: str, *, from_module: str, to_module: str) -> Any:
    """Unpickle the resource `key` of a folder `resources/`, its modules `from_module` read as `to_module`.

    Raises `PackageNotFound`, with the names there are, when there is no such resource.
    """
    path = folder / key
    if key not in list_resources(folder):
        there = ", ".join(list_resources(folder)) or "none"
        raise PackageNotFound(f"no resource {key!r} in {folder}. The package has: {there}.")
    buffers = [_mapped(entry) for entry in sorted(folder.glob(f"{key}{_SUFFIX}/*"))]
    with path.open("rb") as file:
        if from_module == to_module:
            return pickle.load(file, buffers=buffers)
        return RenamingUnpickler(file, from_module, to_module, buffers=buffers).load()


def _mapped(path: Path) -> mmap.mmap:
    """The file's bytes, mapped; the mapping lives as long as the object that uses it and needs no open file."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
