"""The distributions that are installed here: what each brought, its version, and where it was installed from.

Reading all of them takes longer than the rest of making a package, so what was read is kept, for as long as the folders of
metadata on `sys.path` stay as they are.
"""

from __future__ import annotations

import csv
import hashlib
import inspect
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...locations import Loc
from ..runtime.distributions import normalised
from ..runtime.whole_files import make_private_folder, write_whole

if TYPE_CHECKING:
    from email.message import Message
    from importlib.metadata import Distribution

__all__ = ["InstalledDistribution", "InstalledDistributions"]

_FORMAT = 2
_METADATA = (".dist-info", ".egg-info", ".egg-link", ".egg")
_SETTLED_NS = 2_000_000_000
"""How long ago a folder must have changed so that a second change would show: the coarsest clock of a file system."""


@dataclass(frozen=True)
class InstalledDistribution:
    """One of them: `modules` are the top-level ones that it brought, `folder` the one it was installed from (PEP 610),
    `None` when it is from an index."""

    name: str
    version: str
    modules: tuple[str, ...]
    folder: str | None


@dataclass(frozen=True)
class InstalledDistributions:
    """All of them, as they were when they were looked for."""

    all: tuple[InstalledDistribution, ...]

    @classmethod
    def here(cls) -> InstalledDistributions:
        """Those of this environment."""
        signature = _signature(sys.path)
        key = "\n".join([str(_FORMAT), sys.implementation.cache_tag or "", *sys.path])
        file = Loc.cache / f"distributions-{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.json"
        known = _known(file, signature)
        if known is not None:
            return cls(known)
        found = cls(tuple(_read()))
        if max((changed for _, changed in signature), default=0) < time.time_ns() - _SETTLED_NS:
            with suppress(OSError):  # no place to write it
                make_private_folder(file.parent)
                text = json.dumps([signature, [astuple(one) for one in found.all]]).encode()
                write_whole(file, lambda opened: opened.write(text))
        return found

    @cached_property
    def digest(self) -> str:
        """SHA-256 of them, in hexadecimal digits."""
        return hashlib.sha256(json.dumps([astuple(one) for one in self.all]).encode()).hexdigest()

    @cached_property
    def by_module(self) -> Mapping[str, tuple[str, ...]]:
        """The names of distributions by the top-level modules that they brought; a namespace has several."""
        found: dict[str, set[str]] = {}
        for one in self.all:
            for module in one.modules:
                found.setdefault(module, set()).add(one.name)
        return {module: tuple(sorted(names)) for module, names in found.items()}

    @cached_property
    def by_name(self) -> Mapping[str, InstalledDistribution]:
        """Distributions by their normalised names; the one that is imported first, where there are two."""
        return {normalised(one.name): one for one in reversed(self.all)}

    def that_have(self, module: str) -> tuple[InstalledDistribution, ...]:
        """Those that brought a module; where several share a namespace, those with the longest part of it."""
        names = self.by_module.get(module.partition(".")[0], ())
        parts = module.split(".")
        while len(names) > 1 and len(parts) > 1:
            place = "/".join(parts)
            having = tuple(name for name in names if _has(name, place))
            names = having or names
            if having:
                break
            parts.pop()
        return tuple(self.by_name[normalised(name)] for name in names)


def _signature(entries: Iterable[str]) -> list[list[Any]]:
    """The folders of metadata on `sys.path`, and when something was added to or removed from each."""
    found = []
    for entry in entries:
        with suppress(OSError), os.scandir(entry or os.curdir) as there:
            found += sorted([one.path, one.stat().st_mtime_ns] for one in there if one.name.endswith(_METADATA))
    return found


def _known(file: os.PathLike[str], signature: list[list[Any]]) -> tuple[InstalledDistribution, ...] | None:
    try:
        with open(file, "rb") as opened:
            of, entries = json.loads(opened.read())
        if of != signature:
            return None
        return tuple(InstalledDistribution(name, version, tuple(tops), place) for name, version, tops, place in entries)
    except (OSError, ValueError, TypeError):
        return None


def _read() -> Iterable[InstalledDistribution]:
    from importlib import metadata  # only here, since it takes as long as the rest of making

    for distribution in metadata.distributions():
        header = _header(distribution)
        name = header["Name"]
        if name:  # what was left half removed has none
            version = header["Version"]
            yield InstalledDistribution(name, version, tuple(sorted(_modules(distribution))), _folder(distribution))


def _header(distribution: Distribution) -> Message:
    """The fields of its metadata. `distribution.metadata` parses the description below them as well, which is long."""
    from email import message_from_string

    text = next(filter(None, map(distribution.read_text, ("METADATA", "PKG-INFO", ""))), "")
    return message_from_string(text.partition("\n\n")[0])


def _modules(distribution: Distribution) -> set[str]:
    declared = (distribution.read_text("top_level.txt") or "").split()
    if declared:
        return set(declared)
    tops = set()
    record = distribution.read_text("RECORD")
    # `distribution.files` makes a path of each line, and asks the disk for it; it knows the older records as well.
    files = [row[0] for row in csv.reader(record.splitlines()) if row] if record else map(str, distribution.files or ())
    for file in files:
        folder, slash, _ = file.partition("/")
        top = folder if slash else inspect.getmodulename(file)
        if top and top.isidentifier():
            tops.add(top)
        elif file.endswith(".pth"):
            tops |= _modules_on_path(str(distribution.locate_file(file)))
    return tops


def _modules_on_path(file: str) -> set[str]:
    """The modules in the folders that a `.pth` file puts on `sys.path`: all that an editable install may have installed."""
    tops = set()
    with suppress(OSError, UnicodeDecodeError), open(file, encoding="utf-8") as opened:
        for folder in filter(os.path.isabs, map(str.strip, opened)):
            with suppress(OSError), os.scandir(folder) as entries:
                tops |= {name for one in entries if (name := _module_in(one)) is not None}
    return tops


def _module_in(entry: os.DirEntry[str]) -> str | None:
    name = entry.name if os.path.isfile(os.path.join(entry.path, "__init__.py")) else inspect.getmodulename(entry.name)
    return name if name and name.isidentifier() else None


def _folder(distribution: Distribution) -> str | None:
    text = distribution.read_text("direct_url.json")
    try:
        url = str(json.loads(text)["url"]) if text else ""
    except (ValueError, KeyError, TypeError):
        return None
    return url.removeprefix("file://") if url.startswith("file:") else None


def _has(name: str, place: str) -> bool:
    from importlib import metadata

    files = map(str, metadata.files(name) or ())
    return any(file.startswith((f"{place}/", f"{place}.")) for file in files)
