"""The program that installs packages for the server, and removes them: hashing, unpacking and deleting would hold the server up.

It does one after the other until the server closes its socket. An answer is a frame: what was installed and with which Python
it runs, or why it was not.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..delivery.package_locks import lock_of
from ..delivery.requirements import unmet_requirements
from ..delivery.store import InstalledPackage, Store
from ..environments.environment import environment_for, python_of
from ..runtime.errors import DeliveryError
from ..trust.policy import Policy
from .frames import ANSWER, REMOVAL, STATE, Frame, FrameReader, pack

__all__ = ["main"]

_ROOM_BYTES = 64 * 1024


def main(connection: socket.socket, *, store: str, policy: str | None) -> None:
    """Install into a store what the policy of a file, or else the machine's, accepts."""
    reader = FrameReader()
    with suppress(ConnectionError):
        while data := connection.recv(_ROOM_BYTES):
            for frame in reader.frames_of(data):
                status, facts = _answer(connection, frame, Path(store), policy)
                connection.sendall(pack(ANSWER, frame.number, status=status, facts=facts))


def _answer(connection: socket.socket, frame: Frame, store: Path, policy: str | None) -> tuple[int, Mapping[str, Any]]:
    """Do what a frame asks for: 200 and what came of it, or 422 and the reason."""
    asked = frame.known()
    if frame.kind == REMOVAL:
        shutil.rmtree(asked["folder"], ignore_errors=True)
        is_left = os.path.lexists(asked["folder"])  # the next installation tries it again
        return (422, {"reason": "not all of it could be removed"}) if is_left else (200, {})
    file = asked["file"]
    try:
        return 200, _installed(connection, Path(file), store, policy)
    except DeliveryError as error:
        return 422, {"reason": str(error).replace(file, "the package"), "error": type(error).__name__}
    except Exception as error:  # noqa: BLE001 whatever it is, the one who deploys is told
        return 422, {"reason": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}


def _installed(connection: socket.socket, file: Path, store: Path, policy: str | None) -> dict[str, Any]:
    started = time.perf_counter()
    package = Store(store).install(file, policy=Policy.of_file(policy) if policy else None)
    installed = time.perf_counter()
    python = _python(connection, package)
    seconds = {"installing": installed - started, "environment": time.perf_counter() - installed}
    return {
        "name": package.name,
        "version": package.version,
        "module_name": package.module_name,
        "seal": package.seal,
        "folder": str(package.folder),
        "source_digest": package.facts.source,
        "python": python,
        "seconds": seconds,
    }


def _python(connection: socket.socket, package: InstalledPackage) -> str:
    """The interpreter of an environment that has what the package needs; the server's own wherever that does."""
    requirements = package.facts.requirements()
    if not requirements or unmet_requirements(package.facts) == ([], []):
        return ""
    connection.sendall(
        pack(STATE, facts={"state": "installing", "message": f"an environment with {', '.join(requirements)}"})
    )
    return str(python_of(environment_for(requirements, lock_of(package.facts, package.folder))))
