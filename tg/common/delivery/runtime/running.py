"""Running a package: what `python -m UID` does, and the lines it logs.

A job is the resource `job`: callable, or with a method `run`. One whose signature has a parameter `entry_point` gets
the package's entry point. What it returns can be written to a file, as a pickle under the package's names, for
`EntryPoint.load_file_in_local_tg` on the sending side.
"""

from __future__ import annotations

import argparse
import inspect
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...logger import Logger
from .entry_point import EntryPoint
from .errors import NotAJob, PackageNotFound
from .whole_files import write_whole

__all__ = ["main", "run_job"]


def main(module_name: str, arguments: Sequence[str] | None = None) -> int:
    """Run the job of an imported package. Returns the exit status: 0, or 1 after logging the traceback."""
    parser = argparse.ArgumentParser(prog=f"python -m {module_name}", description="Run the job of this package.")
    parser.add_argument("--result", type=Path, metavar="FILE", help="write what the job returns to FILE, as a pickle")
    options = parser.parse_args(arguments)
    try:
        result = run_job(EntryPoint.of_module(module_name))
        if options.result is not None:
            _write_result(result, options.result)
    except Exception:  # the edge of the job: whatever it raises is logged in full
        Logger.exception("Job has failed")
        return 1
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


def _write_result(result: Any, file: Path) -> None:
    """The whole result or no file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, lambda opened: pickle.dump(result, opened, protocol=5))
    Logger.info(f"Result is written to {file}")
