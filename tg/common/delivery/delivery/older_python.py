"""What of a package a Python older than this one cannot run: told when something is built for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from ..images.package_layer import BuiltPackage
from .closure import modules_meant_by
from .imports import imports_in, parsed
from .newer_python import is_syntax, newer_features
from .references import references_in
from .required_python import release

__all__ = ["too_new_in"]


def too_new_in(package: BuiltPackage, python: str) -> tuple[list[str], list[str]]:
    """What the modules that the payload needs have and a Python (`3.10`) has not: syntax, and names of the standard library.

    Each is the place in the package, and what stands there.
    """
    syntax: list[str] = []
    names: list[str] = []
    for path, source, tree in _needed(package):
        for line, what, since in newer_features(tree, source):
            if release(since) > release(python):
                text = f"{path}:{line} has {what}, which is new in Python {since}"
                (syntax if is_syntax(what) else names).append(text)
    return syntax, names


def _needed(package: BuiltPackage) -> Iterator[tuple[str, bytes, ast.Module]]:
    """The modules that resources name, and those that they import in turn: path in the package, source and tree."""
    files = {one.path: bytes(one.data) for one in package.files if one.path.endswith(".py")}
    known = {_dotted(path): path for path in sorted(files)}
    waiting = list(_named_by_resources(package))
    seen: set[str] = set()
    while waiting:
        name = _module_of(waiting.pop(), known)
        if name in seen or not name:
            continue
        seen.add(name)
        path = known[name]
        inside = name.removeprefix(f"{package.module_name}.")
        base = inside if path.endswith("/__init__.py") else inside.rpartition(".")[0]
        waiting.append(name.rpartition(".")[0])
        try:
            tree = parsed(files[path])
        except (
            SyntaxError,
            ValueError,
        ):  # newer than this Python too, or broken; it was told when the package was made
            continue
        yield path, files[path], tree
        imports = imports_in(tree, files[path])
        waiting += [f"{package.module_name}.{one}" for each in imports for one in modules_meant_by(each, base) if one]


def _named_by_resources(package: BuiltPackage) -> Iterator[str]:
    folder = f"{package.module_name}/resources/"
    for one in package.files:
        if one.path.startswith(folder) and "/" not in one.path.removeprefix(folder):
            yield from (module for module, _ in references_in(bytes(one.data)))


def _module_of(name: str, known: Mapping[str, str]) -> str:
    """The longest part of a dotted name that is a module of the package; nothing where none is."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def _dotted(path: str) -> str:
    return re.sub(r"(/__init__)?\.py$", "", path).replace("/", ".")
