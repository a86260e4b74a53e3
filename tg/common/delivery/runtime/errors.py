"""What can go wrong, as one tree.

DeliveryError
├── InvalidName            a package name, version, payload key or destination that cannot be used
├── UndeliverablePayload   the payload holds something that cannot travel
├── UndeliverableSource    the source tree cannot travel as it is
├── PackageRejected        a file that is no package, or not the one that was made
│   └── IncompatiblePackage    made for a newer format or another Python
├── DependencyProblem      what the package needs is missing, or conflicts with what is installed
├── CommandFailed          a command that was started for the user ended with an error
├── PackageNotFound        no installed package, or no resource in it, of that name
├── PackageBusy            a version cannot be exchanged while it is being imported
└── NotAJob                the payload has no job, or it can neither be called nor run

A message says what happened, where, and what to do next. What it says in words, the attributes give as values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "CommandFailed",
    "DeliveryError",
    "DependencyProblem",
    "IncompatiblePackage",
    "InvalidName",
    "NotAJob",
    "PackageBusy",
    "PackageNotFound",
    "PackageRejected",
    "UndeliverablePayload",
    "UndeliverableSource",
]


class DeliveryError(Exception):
    """Anything that delivery refuses or fails to do."""


class InvalidName(DeliveryError, ValueError):
    """Raised by `Packaging.make_package` and `UID` for a name that gives no module, wheel or file name."""

    def __init__(self, message: str, *, given: object, nearest: str | None = None) -> None:
        super().__init__(message)
        self.given = given
        self.nearest = nearest


class _Collected(DeliveryError):
    """Several problems found in one pass and raised once."""

    def __init__(self, headline: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            text = self.problems[0]
        else:
            text = f"{headline}: {len(self.problems)} problems\n" + "\n".join(f"- {problem}" for problem in problems)
        super().__init__(text)


class UndeliverablePayload(_Collected):
    """Raised by `Packaging.make_package` before anything is written; `problems` has one sentence for each place."""


class UndeliverableSource(_Collected):
    """Raised by `Packaging.make_package` before anything is written; `problems` has one sentence for each place."""


class PackageRejected(DeliveryError):
    """Raised when a package file is read, before anything of it is imported, unpickled or left on the disk."""

    def __init__(self, message: str, *, path: Path, member: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.member = member


class IncompatiblePackage(PackageRejected):
    """Raised when a package is sound, but made for a newer format or for another Python than this one."""


class DependencyProblem(DeliveryError):
    """Raised by `install_package_and_get_loader`; `problems` names each requirement and what is installed."""

    def __init__(self, message: str, *, problems: Sequence[str]) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class CommandFailed(DeliveryError):
    """Raised when a command ended with an error: the command, its return code and what it wrote."""

    def __init__(self, message: str, *, command: Sequence[str], return_code: int, stdout: str, stderr: str) -> None:
        super().__init__(message)
        self.command = tuple(command)
        self.return_code = return_code
        self.stdout = stdout
        self.stderr = stderr


class PackageNotFound(DeliveryError, LookupError):
    """Raised when nothing of that name is installed, or several versions are and none was named."""


class PackageBusy(DeliveryError):
    """Raised when a package is to be exchanged or unloaded by the very code that is importing it."""


class NotAJob(DeliveryError, TypeError):
    """Raised when the resource `job` is missing, or can neither be called nor has `run`."""
