"""The entry point of a package that is loaded into a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..environments.environment import environment_for, python_of
from ..environments.lock import Lock
from ..runtime.entry_point import EntryPoint
from ..runtime.errors import IncompatiblePackage
from .session import Session

__all__ = ["IsolatedEntryPoint"]

_WORKER = "tg/common/delivery/runtime/worker.py"


class IsolatedEntryPoint(EntryPoint):
    """A package that is ready to be used in a worker process, whose environment has what the package requires and no more.

    What `load_resource` gives is a proxy, unless it is plain data. One call runs in the worker at a time, in its main thread;
    calls of other threads wait. The worker ends with `unload`, with a `with` block, when neither this nor a proxy is used any
    more, and with this process. What it runs is trusted as any package is: it is a process of the same user, no sandbox.
    """

    def __init__(
        self,
        *,
        name: str,
        version: str,
        module_name: str,
        tg_import_path: str,
        original_tg_import_path: str,
        resources_location: Path,
        requirements: Sequence[str],
        lock: Lock | None = None,
    ) -> None:
        super().__init__(
            name=name,
            version=version,
            module_name=module_name,
            tg_import_path=tg_import_path,
            original_tg_import_path=original_tg_import_path,
            resources_location=resources_location,
        )
        self._requirements = tuple(requirements)
        self._lock = lock
        self._starting = threading.Lock()
        self._session: Session | None = None

    def __enter__(self) -> IsolatedEntryPoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.unload()

    def start(self) -> None:
        """Start the worker, unless there is one; `load_resource` does it by itself.

        Raises `DependencyProblem` when the requirements cannot be had together, `IncompatiblePackage` for a package that was
        made before there were workers.
        """
        self._started()

    def load_resource(self, name: str) -> Any:
        """Load one of the payload's objects in the worker: a proxy of it, or a copy of plain data and of arrays.

        Each call gives a new one, and starts a new worker where the last one has ended. Raises `PackageNotFound` when the payload
        had nothing of that name.
        """
        return self._started().call("load", 0, name)

    def convert(self, value: Any) -> Any:
        """A proxy of a copy of an object of the local roots in the classes of this version, in the worker."""
        return self._started().call("keep", 0, "convert", (value,))

    def cancel(self) -> None:
        """End the call that is running in the worker, if there is one: it raises `CallCancelled` in the thread that waits for it.

        The package's code gets a `KeyboardInterrupt`. If the call does not end within seconds, the worker is killed.
        """
        session = self._session  # another thread may unload it
        if session is not None:
            session.cancel()

    def unload(self) -> None:
        """End the worker, after the call that is running. Its proxies are of no use any more; `load_resource` starts another."""
        with self._starting:
            if self._session is not None:
                self._session.end()
                self._session = None

    def _shown(self) -> list[tuple[str, object]]:
        session = self._session
        is_running = session is not None and not session.has_ended
        return [*super()._shown(), ("worker", "is running" if is_running else "is started when something is loaded")]

    def _started(self) -> Session:
        with self._starting:
            if self._session is None or self._session.has_ended:
                self._session = self._new_session()
            return self._session

    def _new_session(self) -> Session:
        folder = self.resources_location.parent
        if not (folder / _WORKER).exists():
            raise IncompatiblePackage(
                f"{self.module_name} was made before packages could be loaded into processes of their own. Make it again with "
                f"this version of delivery, or install it without isolated=True.",
                path=folder,
            )
        return Session(python_of(environment_for(self._requirements, self._lock)), folder)
