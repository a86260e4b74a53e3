"""Running a package: what `python -m UID` does, and the lines it logs.

A job is the resource `job`: callable, or with a method `run`. One whose signature has a parameter `entry_point` gets
the package's entry point. What it returns can be written to a file, as a pickle under the package's names, for
`EntryPoint.load_file_in_local_tg` on the sending side. Of a job that raises, `FILE.failure` tells instead.
"""

from __future__ import annotations

import argparse
import faulthandler
import inspect
import json
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any, BinaryIO

from ...logger import Logger
from .entry_point import EntryPoint
from .errors import NotAJob, PackageNotFound
from .reducers import dump
from .whole_files import write_whole

__all__ = ["EXECUTOR_VARIABLE", "JobStopped", "JobTimeLimitReached", "failure_of", "main", "pickle_result", "run_job"]

EXECUTOR_VARIABLE = "TG_EXECUTOR"
"""Set by executors, to their kind: the file of the result is their matter then, and no line is logged about it."""

_TIME_LIMIT_STATUS = 124  # that of timeout(1)
_BACKSTOP_SECONDS = 5
_STANDARD_ERROR = 2


class JobTimeLimitReached(BaseException):
    """Raised in the job when its time is over; not an `Exception`, since no job means to catch it."""


class JobStopped(SystemExit):
    """Raised in the job by SIGTERM, so that its clean-up runs; the exit status is the one of the signal."""


def main(module_name: str, arguments: Sequence[str] | None = None) -> int:
    """Run the job of an imported package. Returns the exit status: 0, or 1 after logging the traceback.

    `--result FILE` writes what the job returns to FILE. If it raises, `FILE.failure` is written: JSON with `type` (the
    qualified name; `MemoryError` for all kinds of it, `TimeLimitReached` when the time limit was), `message` and
    `traceback`. `--time-limit-seconds` ends a job that takes longer, with status 124. SIGTERM ends it with
    `SystemExit`, unless the program has a handler of its own. A job's own `SystemExit` is passed on.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module_name}", description="Run the job of this package.")
    parser.add_argument("--result", type=Path, metavar="FILE", help="write what the job returns to FILE, as a pickle")
    parser.add_argument("--time-limit-seconds", type=_seconds, metavar="N", help="end the job when it takes longer")
    options = parser.parse_args(arguments)
    try:
        with _can_be_stopped(), _time_limit(options.time_limit_seconds):
            result = run_job(EntryPoint.of_module(module_name))
            if options.result is not None:
                _write_result(result, options.result)
    except Exception as error:  # the edge of the job: whatever it raises is logged in full
        if isinstance(error, MemoryError):
            # What the frames hold is what there is too much of; the lines are told all the same.
            traceback.clear_frames(error.__traceback__)
        Logger.exception("Job has failed")
        _write_failure(error, options.result)
        return 1
    except JobTimeLimitReached as error:
        Logger.exception("Job has failed")
        _write_failure(error, options.result)
        return _TIME_LIMIT_STATUS
    except BaseException as error:
        if isinstance(error, JobStopped):
            Logger.info("Job was stopped by SIGTERM")
        if not isinstance(error, SystemExit) or error.code not in (None, 0):
            _write_failure(error, options.result)
        raise
    Logger.info("DONE. Exiting Training Grounds.")
    return 0


def run_job(entry_point: EntryPoint) -> Any:
    """Load the job, say so, run it, and return what it returns.

    Raises `NotAJob` when there is nothing to run, and whatever the job raises.
    """
    Logger.info("Welcome to Training Grounds!")
    Logger.info("Loading job")
    try:
        job = entry_point.load_resource("job")
    except PackageNotFound as error:
        raise NotAJob(f"{entry_point.module_name} has no resource 'job' to run. {error}") from error
    Logger.info(f"Job of type {type(job)} is loaded")
    call = _call_of(job)
    result = call(entry_point=entry_point) if _wants_entry_point(call) else call()
    Logger.info("Job has exited successfully")
    return result


def _call_of(job: Any) -> Callable[..., Any]:
    run = getattr(job, "run", None)
    if callable(run):
        Logger.info("Job has `run` attribute")
        return run  # type: ignore[no-any-return]
    if callable(job):
        Logger.info("Job is callable")
        return job  # type: ignore[no-any-return]
    raise NotAJob(f"the resource 'job' is of {type(job)}, which can neither be called nor has a method `run`.")


def _wants_entry_point(call: Callable[..., Any]) -> bool:
    try:
        parameter = inspect.signature(call).parameters.get("entry_point")
    except (TypeError, ValueError):  # built-in functions may have no signature
        return False
    return parameter is not None and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY


def pickle_result(result: Any, file: IO[bytes]) -> None:
    """Write what a job returned, under the package's names. Raises `TypeError` when it cannot be pickled."""
    try:
        dump(result, file)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise TypeError(
            f"the job returned an object of {type(result)}, which cannot be pickled: {error}. Return plain values, or objects "
            f"of classes that are defined in modules of tg/."
        ) from error


def failure_of(error: BaseException) -> dict[str, str]:
    """What is told of a job that raised: `type`, `message` and `traceback`; see `main`."""
    return {
        "type": _type_name(error),
        "message": _message(error),
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    }


def _write_result(result: Any, file: Path) -> None:
    """The whole result or no file."""
    _write(file, lambda opened: pickle_result(result, opened))
    failure = _failure_file(file)  # of an earlier run
    if os.access(file.parent, os.W_OK):
        failure.unlink(missing_ok=True)
    elif failure.exists():
        os.truncate(failure, 0)
    if EXECUTOR_VARIABLE not in os.environ:
        Logger.info(f"Result is written to {file}")


def _write_failure(error: BaseException, result_file: Path | None) -> None:
    """What went wrong, for whoever waits for the result."""
    if result_file is None:
        return
    text = json.dumps(failure_of(error))
    try:
        _write(_failure_file(result_file), lambda opened: opened.write(text.encode()))
    except OSError as problem:
        Logger.error(f"What went wrong could not be written to {_failure_file(result_file)}: {problem}")


def _write(file: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file whole; or into the one that is there, where its folder takes no other: then the exit status tells."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if os.access(file.parent, os.W_OK) or not file.exists():
        write_whole(file, write)
        return
    with file.open("wb") as opened:
        write(opened)


def _failure_file(result_file: Path) -> Path:
    return result_file.with_name(f"{result_file.name}.failure")


def _type_name(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "MemoryError"
    cause: BaseException | None = error
    while cause is not None:  # a job may have made another one of it
        if isinstance(cause, JobTimeLimitReached):
            return "TimeLimitReached"
        cause = cause.__cause__ or cause.__context__
    kind = SystemExit if isinstance(error, JobStopped) else type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 an exception of the job, which may do anything when it is asked for its text
        return "(its text cannot be had: __str__ raised)"


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a time above 0")
    return seconds


@contextmanager
def _can_be_stopped() -> Iterator[None]:
    """SIGTERM raises `JobStopped` meanwhile, unless somebody else handles it.

    A container's first process ignores SIGTERM if it has no handler, and every other one ends without clean-up.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise JobStopped(128 + number)  # nothing is logged here: the signal may come in the middle of logging

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """`JobTimeLimitReached` is raised when the time is over, and where that does not help the process ends.

    Python handles a signal when it comes back to its own code. For code that does not come back, a thread of C ends
    the process a little later, after writing to the standard error where it is stuck.
    """
    if seconds is None:
        yield
        return

    def over(number: int, frame: FrameType | None) -> None:
        raise JobTimeLimitReached(f"the job took longer than the {seconds:g} seconds it may")

    before = signal.signal(signal.SIGALRM, over)
    faulthandler.dump_traceback_later(seconds + _BACKSTOP_SECONDS, exit=True, file=_STANDARD_ERROR)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)  # the last moment at which `over` may raise
        finally:
            signal.signal(signal.SIGALRM, before)
            faulthandler.cancel_dump_traceback_later()
