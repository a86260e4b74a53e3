"""What can go wrong, as one tree.

DeliveryError
├── InvalidName            a package name, version, payload key or destination that cannot be used
├── UndeliverablePayload   the payload holds something that cannot travel
├── UndeliverableSource    the source tree cannot travel as it is
├── PackageRejected        a file that is no package, or not the one that was made
│   ├── IncompatiblePackage    made for another format, protocol or Python
│   └── UntrustedPackage       sound, but not by anybody who is trusted here
├── TrustProblem           a key, a policy, or the memory of what was accepted cannot be used
├── StorageProblem         a disk is full, read-only, or has no room for us
├── DependencyProblem      what the package needs is missing, or conflicts with what is installed
├── CommandFailed          a command that was started for the user ended with an error
├── ImageProblem           an image cannot be composed: its base, platform, name or a file in it cannot be used
├── EngineProblem          the container engine cannot be reached, or refuses
│   └── HostUnreachable        ssh cannot connect to the engine's host
├── RegistryProblem        a registry cannot be reached, or refuses
├── ServerProblem          a server of packages cannot be reached, or refuses
├── ClusterProblem         a cluster cannot be reached, refuses, or has lost what it was given
├── MissingVariables       environment variables to propagate are not set
├── RunNotFound            no run of that id
├── RunFailed              a run ended without a result
│   ├── JobFailed              the job raised; the remote traceback is in it
│   │   └── ItemFailed             it raised for one item of many; its index is in it
│   ├── OutOfMemory            it was ended because it took more memory than it may
│   ├── TimeLimitReached       it was ended because it took longer than it may
│   └── RunCancelled           it was cancelled
├── CallFailed             a call into an isolated package came to no value
│   ├── RemoteError            the package raised an error of a class of its own; the remote traceback is in it
│   ├── CallCancelled          it was cancelled
│   ├── WorkerEnded            the worker ended meanwhile, or had ended before
│   └── UncrossableValue       an argument, or what came of the call, cannot be sent to the other process
├── UnexpectedType         a resource or a result is not of the type that it was asked for as
├── UntrustedResult        a result refers to what the local tg and the declared dependencies do not have
├── PackageNotFound        no installed package, or no resource in it, of that name
├── PackageBusy            a version cannot be exchanged while it is being imported
└── NotAJob                the payload has no job, or it can neither be called nor run

A message says what happened, where, and what to do next. What it says in words, the attributes give as values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "CallCancelled",
    "CallFailed",
    "ClusterProblem",
    "CommandFailed",
    "DeliveryError",
    "DependencyProblem",
    "EngineProblem",
    "HostUnreachable",
    "ImageProblem",
    "IncompatiblePackage",
    "InvalidName",
    "ItemFailed",
    "JobFailed",
    "MissingVariables",
    "NotAJob",
    "OutOfMemory",
    "PackageBusy",
    "PackageNotFound",
    "PackageRejected",
    "RegistryProblem",
    "RemoteError",
    "RunCancelled",
    "RunFailed",
    "RunNotFound",
    "ServerProblem",
    "StorageProblem",
    "TimeLimitReached",
    "TrustProblem",
    "UncrossableValue",
    "UndeliverablePayload",
    "UndeliverableSource",
    "UnexpectedType",
    "UntrustedPackage",
    "UntrustedResult",
    "WorkerEnded",
]


class DeliveryError(Exception):
    """Anything that delivery refuses or fails to do."""

    def __reduce__(self) -> tuple[Callable[..., DeliveryError], tuple[Any, ...]]:
        """With its fields, which its class asks for by name: an error that cannot be read hangs a `multiprocessing.Pool`."""
        return _made_again, (type(self), self.args, vars(self))


def _made_again(kind: type[DeliveryError], arguments: tuple[Any, ...], fields: dict[str, Any]) -> DeliveryError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(fields)
    return error


class InvalidName(DeliveryError, ValueError):
    """Raised for a name, version, key, address or destination that cannot be used; `nearest` is one that can, where there is any."""

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
    """Raised when a package, as a file or installed, is not used: before anything of it is imported or unpickled."""

    def __init__(self, message: str, *, path: Path, member: str | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.member = member


class IncompatiblePackage(PackageRejected):
    """Raised when a package is sound, but of another format, protocol or release than is understood here, or for another Python."""


class UntrustedPackage(PackageRejected):
    """Raised when a package is sound, but no policy that holds here accepts it; nothing of it was used."""


class TrustProblem(DeliveryError):
    """Raised when a key or a policy cannot be used, or what was accepted before cannot be told or kept."""


class StorageProblem(DeliveryError):
    """Raised when something cannot be kept: no room, no right to write. Nothing half written is left; `path` is where."""

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(message)
        self.path = path


class DependencyProblem(DeliveryError):
    """Raised when requirements cannot be resolved, installed or had together; `problems` has what is known of each."""

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


class ImageProblem(DeliveryError):
    """Raised when an image cannot be composed, or a platform not be delivered to, before any engine or registry gets anything."""


class EngineProblem(DeliveryError):
    """Raised when a container engine cannot be reached, or refuses what it is asked; `host` is where it was looked for.

    `connection_lost` tells that it did not answer, so that asking again can help.
    """

    def __init__(self, message: str, *, host: str, connection_lost: bool = False) -> None:
        super().__init__(message)
        self.host = host
        self.connection_lost = connection_lost


class HostUnreachable(EngineProblem):
    """Raised when ssh does not get through to the engine's host; `stderr` is what ssh said."""

    def __init__(self, message: str, *, host: str, stderr: str) -> None:
        super().__init__(message, host=host, connection_lost=True)
        self.stderr = stderr


class RegistryProblem(DeliveryError):
    """Raised when a registry cannot be reached or refuses; `status` is its HTTP status, if it answered at all."""

    def __init__(self, message: str, *, registry: str, status: int | None = None) -> None:
        super().__init__(message)
        self.registry = registry
        self.status = status


class ServerProblem(DeliveryError):
    """Raised when a server of packages cannot be reached or refuses; `status` is its HTTP status, if it answered at all."""

    def __init__(self, message: str, *, server: str, status: int | None = None) -> None:
        super().__init__(message)
        self.server = server
        self.status = status


class ClusterProblem(DeliveryError):
    """Raised when a cluster cannot be reached, refuses what it is asked, or has no worker; `cluster` is its address."""

    def __init__(self, message: str, *, cluster: str) -> None:
        super().__init__(message)
        self.cluster = cluster


class MissingVariables(DeliveryError):
    """Raised by `start` before anything is built: variables to propagate that are not set here, by `names`."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        super().__init__(
            f"environment variables to propagate are not set here: {', '.join(names)}. Set them, or take them out of propagate."
        )


class RunNotFound(DeliveryError, LookupError):
    """Raised when an executor knows no run of that id, or not any more."""


class RunFailed(DeliveryError):
    """Raised by `Run.result` when the run ended without one; `run_id` and `exit_code` are the run's."""

    def __init__(self, message: str, *, run_id: str, exit_code: int | None) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.exit_code = exit_code


class JobFailed(RunFailed):
    """Raised by `Run.result` when the job raised: `error_type` and `traceback` are those of where it ran, as text."""

    def __init__(
        self, message: str, *, run_id: str, exit_code: int | None, error_type: str = "", traceback: str = ""
    ) -> None:
        super().__init__(message, run_id=run_id, exit_code=exit_code)
        self.error_type = error_type
        self.traceback = traceback


class ItemFailed(JobFailed):
    """Raised when results of a map are taken, for an item that has none: `index` is its place among the items, from 0."""

    def __init__(
        self,
        message: str,
        *,
        index: int,
        run_id: str,
        exit_code: int | None = 1,
        error_type: str = "",
        traceback: str = "",
    ) -> None:
        super().__init__(message, run_id=run_id, exit_code=exit_code, error_type=error_type, traceback=traceback)
        self.index = index


class OutOfMemory(RunFailed):
    """Raised by `Run.result` when the run was ended because it took more memory than it may."""


class TimeLimitReached(RunFailed):
    """Raised by `Run.result` when the run was ended because it took longer than it may."""


class RunCancelled(RunFailed):
    """Raised by `Run.result` when `Run.cancel` ended the run."""


class CallFailed(DeliveryError):
    """Raised by what an isolated package's `load_resource` gave, and by that itself, when a call comes to no value."""


class RemoteError(CallFailed):
    """Raised when the package raised an exception that is not known here, by class or by form.

    `error_type` and `traceback` are those of the worker, as text; `error` is the exception itself, as a proxy.
    """

    def __init__(self, message: str, *, error_type: str, traceback: str, error: object) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.traceback = traceback
        self.error = error


class CallCancelled(CallFailed):
    """Raised by a call that `cancel` of the entry point ended."""


class WorkerEnded(CallFailed):
    """Raised when the worker is not there any more: `exit_code` is its exit status, or a signal's number below zero.

    `stderr` is the end of what it wrote to its standard error.
    """

    def __init__(self, message: str, *, exit_code: int | None, stderr: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.stderr = stderr


class UncrossableValue(CallFailed, TypeError):
    """Raised when a value cannot be sent to the other process, before the call; or after it, when what came of it cannot."""


class UnexpectedType(DeliveryError, TypeError):
    """Raised by `load_resource` and `result` with a type: the object is of another. Both are told by their names."""

    def __init__(self, message: str, *, expected: str, found: str) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found


class UntrustedResult(DeliveryError):
    """Raised by `Run.result` before anything of the result is made: `reference` is the global it must not refer to, empty
    where it is not about one.
    """

    def __init__(self, message: str, *, reference: str) -> None:
        super().__init__(message)
        self.reference = reference


class PackageNotFound(DeliveryError, LookupError):
    """Raised when nothing of that name is installed or made, or several versions are installed and none was named."""


class PackageBusy(DeliveryError):
    """Raised when a package is to be exchanged or unloaded while it is imported: by the very code that does it, or by others without an end."""


class NotAJob(DeliveryError, TypeError):
    """Raised when the resource `job` is missing, or can neither be called nor has `run`."""
