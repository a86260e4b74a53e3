"""Which modules Python has compiled as they are: their `.pyc` says so, by the rule that importing goes by (PEP 552).

What has been compiled parses, and need not be parsed again to know it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import MAGIC_NUMBER, cache_from_source

__all__ = ["compiled_modules"]


def compiled_modules(locations: Iterable[str]) -> set[str]:
    """Those of the given files whose bytecode is there and belongs to their present size and time."""
    by_folder: dict[str, list[str]] = {}
    for location in locations:
        by_folder.setdefault(os.path.dirname(location), []).append(location)
    found = set()
    for folder, files in by_folder.items():
        cache, name = os.path.split(cache_from_source(f"{folder}/x.py"))
        suffix = name.partition(".")[2]
        try:
            cached = set(os.listdir(cache))
        except OSError:
            continue
        for location in files:
            name = f"{os.path.basename(location)[:-3]}.{suffix}"
            if name in cached and _belongs(f"{cache}/{name}", location):
                found.add(location)
    return found


def _belongs(bytecode: str, source: str) -> bool:
    try:
        with open(bytecode, "rb", buffering=0) as file:
            header = file.read(16)
        status = os.stat(source)
    except OSError:
        return False
    time, size = (number & 0xFFFFFFFF for number in (int(status.st_mtime), status.st_size))
    # Flags other than zero: the bytecode goes by the source's hash.
    return header == MAGIC_NUMBER + bytes(4) + time.to_bytes(4, "little") + size.to_bytes(4, "little")
