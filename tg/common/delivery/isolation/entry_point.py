"""The entry point of a package that is loaded into a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ..environments.environment import environment_for, python_of
from ..environments.lock import Lock
from ..runtime.entry_point import EntryPoint, Value
from ..runtime.errors import IncompatiblePackage
from ..runtime.kinds import check_kind, name_in_package
from ..runtime.roots import roots_in
from .proxy import Proxy
from .session import Session

if TYPE_CHECKING:
    from ..runtime.kinds import Kind

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

    def load_resource(self, name: str, kind: type[Kind] | None = None) -> Kind:
        """Load one of the payload's objects in the worker: a proxy of it, or a copy of plain data and of arrays.

        Each call gives a new one, and starts a new worker where the last one has ended. `kind` is the type that the object is to be
        of, as in `EntryPoint.load_resource`; a proxy stands for one of it. Raises `UnexpectedType` when it is of another,
        `PackageNotFound` when the payload had nothing of that name.
        """
        session = self._started()
        value = session.call("load", 0, name)
        if kind is not None:
            classes = session.call("classes", value._tg_place[1], "") if isinstance(value, Proxy) else ()
            inside = name_in_package(kind, roots_in(self.resources_location.parent), self.module_name)
            module = kind.__module__ if inside is None and isinstance(value, Proxy) else inside
            check_kind(value, kind, f"{name!r} of {self.module_name}", classes, module)
        return value  # type: ignore[no-any-return]

    def convert(self, value: Value) -> Value:
        """A proxy of a copy of an object of the local roots in the classes of this version, in the worker."""
        return self._started().call("keep", 0, "convert", (value,))  # type: ignore[no-any-return]

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
