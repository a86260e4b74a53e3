"""The registry: which versions a server has of each name, in what state, and who gets the traffic. Kept on the disk.

    STATE/registry.json     all of it, written whole before a change takes effect

So whatever ends the server, the next one finds what was live, or what was about to be.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import BinaryIO

import msgspec

from ..delivery.storage import storing
from ..runtime.errors import StorageProblem
from ..runtime.whole_files import make_private_folder, write_whole
from .traffic import Traffic

__all__ = ["Name", "Registry", "State", "Version"]


class State(str, Enum):
    """What a version is doing."""

    INSTALLING = "installing"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    UNLOADED = "unloaded"
    FAILED = "failed"


class Version(msgspec.Struct, kw_only=True):
    """One version of a name. `seal` and `source` are digests of its file and of its source tree."""

    version: str
    module_name: str = ""
    seal: str = ""
    source: str = ""
    folder: str = ""
    python: str = ""
    state: State = State.INSTALLING
    reason: str = ""
    deployed_at: float = 0.0
    deployed_by: str = ""


class Name(msgspec.Struct, kw_only=True):
    """A name: its versions, who gets its requests, which version did before, and which are `held` ready without any.

    `last_live` is the version that got most requests last, also when nobody answers for the name any more.
    """

    versions: dict[str, Version] = {}
    traffic: Traffic = Traffic()
    previous: str | None = None
    held: tuple[str, ...] = ()
    last_live: str | None = None

    @property
    def kept(self) -> frozenset[str]:
        """The versions that are to be loaded."""
        return self.traffic.versions | {*self.held} | ({self.previous} if self.previous else set())


class Registry:
    """All names of a server. What a name's traffic is to be is saved before a request can see it, states of versions soon after."""

    def __init__(self, folder: Path) -> None:
        """Read what the last server in this folder has left. Raises `StorageProblem` when that cannot be read."""
        self._file = folder / "registry.json"
        self.names: dict[str, Name] = {}
        if self._file.exists():
            try:
                self.names = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Name])
            except msgspec.DecodeError as error:
                raise StorageProblem(
                    f"{self._file} cannot be read: {error}. Nothing is known of what was served. Put it right, or move it away "
                    f"and deploy anew.",
                    path=self._file,
                ) from error

    def find(self, name: str, version: str) -> Version | None:
        """A version, if it is known."""
        known = self.names.get(name)
        return known.versions.get(version) if known else None

    def all(self) -> Iterator[tuple[str, Version]]:
        """Every version of every name."""
        for name, known in self.names.items():
            for version in known.versions.values():
                yield name, version

    def note(self, name: str, version: Version) -> None:
        """Add a version, or put it in the place of what is known of it."""
        version.deployed_at = version.deployed_at or time.time()
        self.names.setdefault(name, Name()).versions[version.version] = version

    def forget(self, name: str, *, keep: int) -> list[Version]:
        """Drop the oldest of the versions that are loaded no more, all but the last `keep`; they are returned."""
        known = self.names[name]
        gone = [
            one
            for one in known.versions.values()
            if one.state in (State.UNLOADED, State.FAILED) and one.version not in known.kept
        ]
        gone = sorted(gone, key=lambda one: one.deployed_at)[: max(0, len(gone) - keep)]
        for version in gone:
            del known.versions[version.version]
        return gone

    def text(self) -> bytes:
        """What is written."""
        return msgspec.json.format(msgspec.json.encode(self.names), indent=1)

    def save(self, text: bytes) -> None:
        """Write it whole. Raises `StorageProblem` when there is no room; the file is what it was then."""

        def write(file: BinaryIO) -> None:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

        with storing("what is live cannot be noted", self._file.parent):
            make_private_folder(self._file.parent)
            write_whole(self._file, write)
