"""Files that code opens by a path as it is in the project: `open("tg/x.csv")`. Where the package lands there is none.

Told apart from all other texts by two things: a function that takes paths gets it, and something is there, seen from the
folder that the program runs in, or from the one above a root.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from .imports import name_of

__all__ = ["opened_paths", "paths_that_will_not_exist"]

_OPEN = frozenset(
    "open Path PurePath PosixPath load loads_from fromfile loadtxt genfromtxt memmap imread from_file from_pretrained "
    "connect listdir scandir glob iglob exists isfile isdir ConfigParser FileHandler TarFile ZipFile File".split()
)
_READ = "read_"
"""`pandas.read_csv`, `polars.read_parquet`, …"""
_WRITES = frozenset("wax")


def opened_paths(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines, and the literal paths that are given to functions which open files, but for those that write them."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        first, name = node.args[0], name_of(node.func)
        if name not in _OPEN and not name.startswith(_READ):
            continue
        path = first.value if isinstance(first, ast.Constant) else None
        if isinstance(path, str) and ("/" in path or "." in path) and not _writes(node, name):
            found.append((first.lineno, first.col_offset, path))
    yield from ((line, path) for line, _, path in sorted(found))


def paths_that_will_not_exist(paths: Iterable[tuple[int, str]], portion: Path) -> Iterator[tuple[int, str, str]]:
    """Of these lines and paths those that are there now, with where; `portion` is the folder of the root they are opened in."""
    for line, path in paths:
        for base in dict.fromkeys((os.getcwd(), str(portion.parent))):
            there = os.path.join(base, path)
            # What lies outside of everything that is somebody's project is there on other machines as well: /etc, /dev.
            if os.path.exists(there) and (not os.path.isabs(path) or _is_under(there, base)):
                yield line, path, there
                break


def _writes(call: ast.Call, name: str) -> bool:
    modes = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return name == "open" and any(
        isinstance(mode, ast.Constant) and isinstance(mode.value, str) and _WRITES & {*mode.value} for mode in modes
    )


def _is_under(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(folder).rstrip(os.sep) + os.sep)
