"""The program that installs a package for the server, in a process of its own: hashing and unpacking would hold the server up.

It answers with one frame: what was installed and with which Python it runs, or why it was not.
"""

from __future__ import annotations

import socket
import time
import traceback
from pathlib import Path
from typing import Any

from ..delivery.package_locks import lock_of
from ..delivery.requirements import unmet_requirements
from ..delivery.store import InstalledPackage, Store
from ..environments.environment import environment_for, python_of
from ..runtime.errors import DeliveryError
from ..trust.policy import Policy
from .frames import FAILED, READY, STATE, pack

__all__ = ["main"]


def main(connection: socket.socket, *, file: str, store: str, policy: str | None) -> None:
    """Install a package file into a store, if the policy of a file, or else the machine's, accepts it."""
    started = time.perf_counter()
    try:
        package = Store(Path(store)).install(Path(file), policy=Policy.of_file(policy) if policy else None)
        installed = time.perf_counter()
        facts = {**_facts(package), "python": _python(connection, package)}
    except DeliveryError as error:
        connection.sendall(
            pack(FAILED, facts={"reason": str(error).replace(file, "the package"), "error": type(error).__name__})
        )
    except Exception as error:  # noqa: BLE001 whatever it is, the one who deploys is told
        reason = f"{type(error).__name__}: {error}"
        connection.sendall(pack(FAILED, facts={"reason": reason, "traceback": traceback.format_exc()}))
    else:
        seconds = {"installing": installed - started, "environment": time.perf_counter() - installed}
        connection.sendall(pack(READY, facts={**facts, "seconds": seconds}))


def _facts(package: InstalledPackage) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "module_name": package.module_name,
        "seal": package.seal,
        "folder": str(package.folder),
        "source_digest": package.facts.source,
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
