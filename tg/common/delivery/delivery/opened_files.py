"""Files that code opens by a path as it is in the project: `open("tg/x.csv")`. Where the package lands there is none.

Told apart from all other texts by two things: a function that takes paths gets it, and something is there, seen from the
folder that the program runs in, or from the one above a root. What a module writes itself is not missed.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from .imports import name_of, nodes_that_run

__all__ = ["opened_paths", "paths_that_will_not_exist"]

_PATHS = frozenset({"Path", "PurePath", "PosixPath"})
_OPEN = _PATHS | frozenset(
    "open load fromfile loadtxt genfromtxt memmap imread from_file from_pretrained "
    "connect listdir scandir glob iglob TarFile ZipFile File".split()
)
_READ = "read_"
"""`pandas.read_csv`, `polars.read_parquet`, …"""
_KEYWORDS = frozenset({"file", "filename", "filepath_or_buffer", "fname", "name", "path", "source"})
_WRITES = re.compile(r"[wax][bt+]*")
_WRITING_METHODS = frozenset(
    "mkdir rename replace rmdir symlink_to touch unlink write_bytes write_csv write_parquet write_text".split()
)


def opened_paths(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines, and the literal paths that are given to functions which open files, but for those that the module writes."""
    found = []
    written = set()
    on_paths = {}
    for node in nodes_that_run(tree):
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func)
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
            on_paths[id(node.func.value)] = node  # met before what it is called on
        if name not in _OPEN and not name.startswith(_READ):
            continue
        whole = [node] if name in _PATHS and _literal(node) is not None else node.args[:1]
        for given in (*whole, *(one.value for one in node.keywords if one.arg in _KEYWORDS)):
            path = _literal(given)
            if path is None:
                continue
            if _writes(node, name, on_paths.get(id(node))):
                written.add(path)
            elif ("/" in path or "." in path) and os.path.normpath(path).strip("./"):
                found.append((given.lineno, given.col_offset, path))
    yield from dict.fromkeys((line, path) for line, _, path in sorted(found) if path not in written)


def paths_that_will_not_exist(paths: Iterable[tuple[int, str]], portion: Path) -> Iterator[tuple[int, str, str]]:
    """Of these lines and paths those that are there now, with where; `portion` is the folder of the root they are opened in."""
    bases = [str(portion.parent)]
    with suppress(FileNotFoundError):  # the folder that it runs in can be gone
        bases.insert(0, os.getcwd())
    for line, path in paths:
        for base in dict.fromkeys(bases):
            there = os.path.normpath(os.path.join(base, path))
            # What lies outside of everything that is somebody's project is there on other machines as well: /etc, /dev.
            if os.path.exists(there) and (not os.path.isabs(path) or _is_under(there, base)):
                yield line, path, there
                break


def _literal(node: ast.expr) -> str | None:
    """A path that is written out, in one piece or as `os.path.join("tg", "x.csv")`."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Call) and name_of(node.func) in ("join", *_PATHS) and node.args and not node.keywords:
        parts = [part for one in node.args if (part := _literal(one)) is not None]
        return os.path.join(*parts) if len(parts) == len(node.args) else None
    return None


def _writes(call: ast.Call, name: str, on_it: ast.Call | None) -> bool:
    """Whether a call opens a file for writing, or makes a path on which a method that writes is called."""
    if name not in _PATHS:
        return _is_mode_for_writing(call.args[1:2], call.keywords)
    if on_it is None:
        return False
    method = name_of(on_it.func)
    return method in _WRITING_METHODS or (method == "open" and _is_mode_for_writing(on_it.args[:1], on_it.keywords))


def _is_mode_for_writing(given: Iterable[ast.expr], keywords: Iterable[ast.keyword]) -> bool:
    modes = [*given, *(keyword.value for keyword in keywords if keyword.arg == "mode")]
    return any(isinstance(one, ast.Constant) and _WRITES.fullmatch(str(one.value)) for one in modes)


def _is_under(path: str, folder: str) -> bool:
    return os.path.realpath(path).startswith(os.path.realpath(folder).rstrip(os.sep) + os.sep)
