"""The installers of a server: processes that install packages into its store, and remove them from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ..runtime.errors import WorkerEnded
from .children import Nurseries
from .frames import INSTALLATION, REMOVAL, Frame
from .replica import FailedToStart, Replica, Request, Tell, within
from .settings import ServerSettings

__all__ = ["Installers"]

_PROGRAM = "tg.common.delivery.serving.installation"
_KEPT = 2
"""So many that have nothing to do are kept: one package is installed while the one that it pushed out is removed.

A fork, and the pages that it copies until it has installed, take as long as installing some hundred files."""


class Installers:
    """Each does one thing at a time; there are as many as things to do at once."""

    def __init__(self, nurseries: Nurseries, settings: ServerSettings) -> None:
        self._nurseries = nurseries
        self._settings = settings
        self._idle: list[_Installer] = []
        self._kept = _KEPT

    async def install(self, file: Path, tell: Tell) -> Mapping[str, Any]:
        """Verify a package file and install it; see `installation`. `tell` hears what is done. Raises `FailedToStart`, `WorkerEnded`."""
        async with self._one(tell) as installer:
            return await installer.ask(
                INSTALLATION, {"file": str(file)}, self._settings.installing_seconds, "installing it"
            )

    async def remove(self, folder: Path) -> None:
        """Remove what was put away of the store. Raises the same."""
        async with self._one(_nothing) as installer:
            await installer.ask(
                REMOVAL, {"folder": str(folder)}, self._settings.installing_seconds, f"removing {folder}"
            )

    async def close(self) -> None:
        """End those that have nothing to do, and keep none any more."""
        self._kept = 0
        idle, self._idle = self._idle, []
        for installer in idle:
            installer.replica.end()
        await asyncio.gather(*(installer.replica.gone for installer in idle))

    @asynccontextmanager
    async def _one(self, tell: Tell) -> AsyncIterator[_Installer]:
        installer = self._free() or await self._another()
        installer.tell = tell
        try:
            yield installer
        finally:
            installer.tell = _nothing
            if len(self._idle) < self._kept:
                self._idle.append(installer)
            else:
                installer.replica.end()

    def _free(self) -> _Installer | None:
        while self._idle:
            installer = self._idle.pop()
            if installer.replica.is_open:  # it may have been killed meanwhile
                return installer
        return None

    async def _another(self) -> _Installer:
        policy = self._settings.policy
        arguments = {"store": str(self._settings.store_folder), "policy": str(policy) if policy else None}
        installer = _Installer()
        child = await self._nurseries.start(_PROGRAM, arguments)
        installer.replica = await Replica.of(child, lambda facts: installer.tell(facts))
        return installer


class _Installer:
    """One process, and who hears what it tells at the moment."""

    replica: Replica

    def __init__(self) -> None:
        self.tell: Tell = _nothing

    async def ask(self, kind: int, facts: Mapping[str, Any], seconds: float, what: str) -> Mapping[str, Any]:
        self.replica.forget_lines()  # they are about another package
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self.replica.ask(Request(kind, b"", facts), answer)
        try:
            frame: Frame = await within(answer, self.replica, seconds, what)
        except WorkerEnded as error:
            raise FailedToStart(f"{what} has failed: {error}", log=error.stderr) from error
        known = frame.known()
        if frame.status != 200:
            log = "\n".join(filter(None, (self.replica.last_lines(), known.get("traceback", ""))))
            raise FailedToStart(known["reason"], log=log, kind=known.get("error", ""))
        return known


def _nothing(facts: Mapping[str, Any]) -> None:
    """What is done with lines that are about no deploy."""
