"""The installers of a server: processes that install packages into its store, and remove them from it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ..runtime.errors import DeliveryError, WorkerEnded
from .children import Nurseries
from .frames import INSTALLATION, REMOVAL, Frame
from .replica import FailedToStart, Replica, Request, Tell, within
from .settings import ServerSettings

__all__ = ["Installers"]

_LOGGER = logging.getLogger("tg.server.deploy")
_PROGRAM = "tg.common.delivery.serving.installation"
_KEPT = 2
"""So many that have nothing to do are kept: one package is installed while the one that it pushed out is removed.

A fork, and the pages that it copies until it has installed, take as long as installing some hundred files."""
_END_SECONDS = 5


class Installers:
    """Each does one thing at a time; there are as many as packages that come at once, and one for all that go."""

    def __init__(self, nurseries: Nurseries, settings: ServerSettings, log: Tell) -> None:
        """`log` hears what installers say that is about no package."""
        self._nurseries = nurseries
        self._settings = settings
        self._log = log
        self._all: set[_Installer] = set()
        self._idle: list[_Installer] = []
        self._to_remove: deque[Path] = deque()
        self._removing: asyncio.Task[None] | None = None
        self._is_closed = False

    async def install(self, file: Path, tell: Tell) -> Mapping[str, Any]:
        """Verify a package file and install it; see `installation`. `tell` hears what is done. Raises `FailedToStart`, `WorkerEnded`."""
        while True:
            async with self._one(tell) as installer:
                is_new = not installer.is_used
                try:
                    facts = await installer.ask(
                        INSTALLATION, {"file": str(file)}, self._settings.installing_seconds, "installing it"
                    )
                except WorkerEnded as error:
                    if is_new:
                        told = f"installing it has failed: {error}"
                        raise FailedToStart(told, log=error.stderr, kind="WorkerEnded") from error
                    continue  # it may have ended before it was asked; a new one does it, or tells why not
                # What has built an environment may have left something running.
                installer.is_spent = bool(facts["python"])
                return facts

    def remove(self, folder: Path) -> None:
        """Remove what was put away of the store, soon; what is left when the server ends, the next one removes."""
        if self._is_closed:
            return
        self._to_remove.append(folder)
        if self._removing is None or self._removing.done():
            self._removing = asyncio.get_running_loop().create_task(self._remove_all())

    async def close(self) -> None:
        """End them all: what is being removed soon, an installation at once."""
        if self._removing is not None:
            await asyncio.wait([self._removing], timeout=_END_SECONDS)
            self._removing.cancel()
            await asyncio.gather(self._removing, return_exceptions=True)
        self._is_closed = True
        for installer in self._all:
            if installer in self._idle:
                installer.replica.end()
            else:
                installer.replica.kill()
        if self._all:
            await asyncio.wait([installer.replica.gone for installer in self._all])

    async def _remove_all(self) -> None:
        while self._to_remove:
            folder = self._to_remove.popleft()
            try:
                async with self._one(self._log) as installer:
                    await installer.ask(
                        REMOVAL, {"folder": str(folder)}, self._settings.installing_seconds, f"removing {folder}"
                    )
            except (FailedToStart, DeliveryError, OSError) as error:
                _LOGGER.warning(f"{folder} cannot be removed: {error}")

    @asynccontextmanager
    async def _one(self, tell: Tell) -> AsyncIterator[_Installer]:
        installer = self._free() or await self._another()
        installer.tell = tell
        try:
            yield installer
        finally:
            installer.tell = self._log
            installer.is_used = True
            if installer.replica.is_open and not (self._is_closed or installer.is_spent) and len(self._idle) < _KEPT:
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
        if self._is_closed:
            raise WorkerEnded("the server is ending.", exit_code=None, stderr="")
        policy = self._settings.policy
        arguments = {"store": str(self._settings.store_folder), "policy": str(policy) if policy else None}
        installer = _Installer(self._log)
        child = await self._nurseries.start(_PROGRAM, arguments)
        installer.replica = await Replica.of(child, lambda facts: installer.tell(facts))
        self._all.add(installer)
        installer.replica.gone.add_done_callback(lambda _: self._all.discard(installer))
        return installer


class _Installer:
    """One process, and who hears what it tells at the moment."""

    replica: Replica

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.is_used = False
        self.is_spent = False

    async def ask(self, kind: int, facts: Mapping[str, Any], seconds: float, what: str) -> Mapping[str, Any]:
        if self.is_used:
            self.replica.forget_lines()  # they are about another package
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self.replica.ask(Request(kind, b"", facts), answer)
        frame: Frame = await within(answer, self.replica, seconds, what)
        known = frame.known()
        if frame.status != 200:
            log = "\n".join(filter(None, (self.replica.last_lines(), known.get("traceback", ""))))
            raise FailedToStart(known["reason"], log=log, kind=known.get("error", ""))
        return known
