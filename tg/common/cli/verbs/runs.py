"""Verbs of running: `run`, `runs`, `logs`, `result`, `cancel`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...delivery.runtime.errors import InvalidName, RunCancelled, RunNotFound
from ..bars import Bars
from ..deliverable import add_settings, let_project_be_imported, package_file_of
from ..log_handler import shown
from ..places import add_image_settings, add_limits, add_place, add_policy, containering_of, executor_of, place_of_run
from ..terminal import coloured, columns, moment

if TYPE_CHECKING:
    from ...delivery.execution.run import Run

__all__ = ["VERBS"]


def _run_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("package", help="a package file, or module:object")
    add_place(parser)
    parser.add_argument("--detach", action="store_true", help="print the id of the run, and do not wait for it")
    parser.add_argument(
        "--result",
        type=Path,
        metavar="FILE",
        help="write what the job returns to FILE, as a pickle of your own classes",
    )
    parser.add_argument(
        "--json", action="store_true", help="for a program to read; the lines of the run go to the standard error"
    )
    add_limits(parser)
    add_image_settings(parser)
    add_policy(parser)
    add_settings(parser)
    parser.epilog = "The exit code is 3 when the job has failed. Ctrl-C cancels the run."
    parser.set_defaults(call=_run)


def _run(options: Namespace) -> int:
    attached = options.place == "attached"
    if attached and options.detach:
        raise InvalidName(
            "what runs attached is part of this process, and ends with it. Leave out --detach.", given=options.place
        )
    executor = executor_of(options.place, options)
    with shown(), Bars():
        file = package_file_of(options.package, options)
        let_project_be_imported()
        settings = containering_of(file, options)
        if settings is not None:
            executor.containering = settings
        if not attached:
            run = executor.start(file)
    if attached:  # its job's lines, printed and logged, go where those of a program go
        with redirect_stdout(sys.stderr) if options.json else nullcontext():
            run = executor.start(file)
            return _followed(run, options, silent=True)
    if options.detach:
        _show_detached(run, options)
        return 0
    return _followed(run, options)


def _followed(run: Run, options: Namespace, *, silent: bool = False) -> int:
    """Show the lines as they come, then the result."""
    out = sys.stderr if options.json else sys.stdout
    try:
        for line in run.logs():
            if not silent:
                print(line, file=out, flush=True)
        with Bars():
            result = run.result()
    except KeyboardInterrupt:
        print(f"tg: cancelling the run {run.id}", file=sys.stderr)
        run.cancel()
        raise RunCancelled(f"the run {run.id} was cancelled.", run_id=run.id, exit_code=run.exit_code) from None
    _show_result(result, run, options)
    return 0


def _runs_arguments(parser: ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("--prune", action="store_true", help="remove those that have ended")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.set_defaults(call=_runs)


def _runs(options: Namespace) -> int:
    executor = executor_of(options.place, options)
    if not hasattr(executor, "runs"):
        raise InvalidName(
            f"what has run {options.place} is known to the program that started it alone.", given=options.place
        )
    if options.prune:
        removed = executor.prune()
        print(
            json.dumps(removed)
            if options.json
            else f"{len(removed)} run{' is' if len(removed) == 1 else 's are'} removed"
        )
        return 0
    found = [_facts(run) for run in executor.runs()]
    if options.json:
        print(json.dumps(found, indent=2))
    elif found:
        colours = {"succeeded": "green", "failed": "red", "running": "bold", "cancelled": "yellow"}
        rows = [
            (one["state"], moment(one["started_at"]) if one["started_at"] else "", one["id"], one["module_name"])
            for one in found
        ]
        table = columns(("state", "started", "id", "package"), rows).split("\n")
        print(table[0])
        for line, one in zip(table[1:], found, strict=True):
            print(coloured(one["state"], colours[one["state"]]) + line[len(one["state"]) :])
    else:
        print(f"there are no runs in {options.place}. `tg run` starts one.", file=sys.stderr)
    return 0


def _add_run(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", help="of the run; the newest unless given")
    add_place(parser, default=None)


def _logs_arguments(parser: ArgumentParser) -> None:
    _add_run(parser)
    parser.epilog = "It ends when the run does."
    parser.set_defaults(call=_logs)


def _logs(options: Namespace) -> int:
    for line in _found(options).logs():
        print(line, flush=True)
    return 0


def _result_arguments(parser: ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("--result", type=Path, metavar="FILE", help="write it to FILE, as a pickle of your own classes")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.epilog = "It waits for the run to end. The exit code is 3 when the job has failed."
    parser.set_defaults(call=_result)


def _result(options: Namespace) -> int:
    run = _found(options)
    let_project_be_imported()
    with Bars():
        # A detached map on a cluster has a result for each item.
        result = run.result() if hasattr(run, "result") else list(run.results())
    _show_result(result, run, options)
    return 0


def _cancel_arguments(parser: ArgumentParser) -> None:
    _add_run(parser)
    parser.epilog = "It is asked to stop, and some seconds later made to."
    parser.set_defaults(call=_cancel)


def _cancel(options: Namespace) -> int:
    run = _found(options)
    run.cancel()
    print(f"{run.id}: {run.state}")
    return 0


def _found(options: Namespace) -> Any:
    place = options.place or (place_of_run(options.id) if options.id else "process")
    executor = executor_of(place, options)
    if options.id is not None:
        try:
            return executor.find(options.id)
        except RunNotFound as error:
            where = "" if place == "process" else f" --in {place}"
            raise RunNotFound(
                f"{place} knows no run {options.id}. `tg runs{where}` lists those that are there."
            ) from error
    runs = executor.runs() if hasattr(executor, "runs") else []
    if not runs:
        raise InvalidName(f"there are no runs in {place}. Name the id of one, and where it is with --in.", given=place)
    return runs[0]


def _show_detached(run: Run, options: Namespace) -> None:
    where = "" if options.place in ("process", "docker") else f" --in {options.place}"
    if options.json:
        print(json.dumps(_facts(run), indent=2))
    else:
        print(run.id)
        print(
            f"`tg logs {run.id}{where}` shows its lines, `tg result {run.id}{where}` what it returns", file=sys.stderr
        )


def _show_result(result: Any, run: Run, options: Namespace) -> None:
    if options.result is not None:
        import pickle

        from ...delivery.runtime.whole_files import write_whole

        write_whole(options.result.absolute(), lambda file: pickle.dump(result, file, protocol=pickle.HIGHEST_PROTOCOL))
    if options.json:
        told = {"id": run.id, "state": "succeeded", "exit_code": 0, "result": _plain(result), "shown": repr(result)}
        print(json.dumps(told, indent=2), file=sys.__stdout__)
    elif options.result is not None:
        print(f"the result is in {options.result}", file=sys.stderr)
    elif result is not None:
        print(repr(result))


def _plain(result: Any) -> Any:
    """The result, if JSON has it as it is; `shown` has it in any case."""
    try:
        return json.loads(json.dumps(result, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None


def _facts(run: Any) -> dict[str, Any]:
    return {
        "id": run.id,
        "module_name": getattr(run, "module_name", ""),
        "started_at": getattr(run, "started_at", None),
        "state": run.state,
        "exit_code": run.exit_code,
    }


VERBS = {
    "run": _run_arguments,
    "runs": _runs_arguments,
    "logs": _logs_arguments,
    "result": _result_arguments,
    "cancel": _cancel_arguments,
}
