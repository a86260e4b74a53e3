"""A run: one package at work, wherever it is. And the protocol of what starts runs, the executors."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..delivery.packaging import Packaging
    from ..runtime.kinds import Kind

__all__ = ["Executor", "Run"]


class Run(Protocol):
    """What an executor has started. `id` finds it again, from another process too: `Executor.find(id)`.

    `state` is one of `running`, `succeeded`, `failed`, `cancelled`. A run is a context manager: leaving it closes what
    this process holds (a connection, an open file), and leaves the run itself alone.
    """

    @property
    def id(self) -> str:
        """The name of this run, unique on its executor."""
        ...

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed` or `cancelled`, as it is now."""
        ...

    @property
    def exit_code(self) -> int | None:
        """The exit status, 128 + n where signal n ended it; `None` while it runs."""
        ...

    def logs(self) -> Iterator[str]:
        """All lines from the first on, without their line ends, as they come; ends when the run has.

        Bytes that are no UTF-8 are written as `\\xNN`; a line of more than 64 KiB comes in pieces.
        """
        ...

    def wait(self) -> int:
        """Wait for the end, and return the exit status."""
        ...

    def result(self, kind: type[Kind] | None = None) -> Kind:
        """What the job returned, in classes of the local `tg`; waits for it. `kind` is the type that it is to be of.

        Raises `RunFailed` when there is none, `UnexpectedType` when it is of another type.
        """
        ...

    def cancel(self) -> None:
        """End it: it is asked to stop, and a few seconds later made to. Does nothing to one that has ended."""
        ...


class Executor(Protocol):
    """What runs packages."""

    def start(self, package: Packaging | str | PathLike[str]) -> Run:
        """Start the job of a package, made by these settings or lying in this file, and return at once."""
        ...

    def find(self, run_id: str) -> Run:
        """A run that was started before, from whatever process. Raises `RunNotFound`."""
        ...
