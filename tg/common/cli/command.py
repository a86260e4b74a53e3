"""`tg`: the list of its verbs, and what holds for all of them: help, exit codes, how errors and progress are shown.

What a verb takes and does is in `verbs`, imported when it is named. So `tg --help` costs a list, and `tg list` what it lists.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from importlib import import_module
from io import TextIOWrapper

from .exit_codes import INTERRUPTED, PIPE_CLOSED, USAGE

TYPE_CHECKING = False  # type checkers take it for true; importing `typing` costs a tenth of what may be spent
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

__all__ = ["HEADINGS", "main", "parser_of", "verbs"]

HEADINGS: dict[str, dict[str, tuple[str, str]]] = {
    "a project": {
        "init": ("project", "lay out a project: tg/mylibrary, a job, a routine, a test"),
        "doctor": ("doctor", "look what is here of all that delivery uses, and say what to do about what is not"),
    },
    "packages": {
        "package": ("packages", "make a package of an object: module:object"),
        "check": ("packages", "look for all that is wrong with a package, before it is made"),
        "lock": ("packages", "resolve what an object needs to exact versions with hashes"),
        "inspect": ("packages", "show what is in a package file, running nothing of it"),
        "sign": ("packages", "sign a package file, in its place"),
    },
    "what is installed": {
        "install": ("store", "verify a package file and put it into the store"),
        "list": ("store", "the packages in the store"),
        "uninstall": ("store", "take a package out of the store"),
        "prune": ("store", "keep the last packages of each name, and remove the others"),
    },
    "running": {
        "run": ("runs", "run a package file or an object: here, in a container, on a server, on a cluster"),
        "runs": ("runs", "the runs that are known, and how they ended"),
        "logs": ("runs", "the lines of a run, from the first on, as they come"),
        "result": ("runs", "what a run has returned"),
        "cancel": ("runs", "end a run"),
        "image": (
            "images",
            "make a container image of a package file or an object, and bring it to an engine or a registry",
        ),
    },
    "serving": {
        "serve": ("servers", "serve packages over HTTP, and take new versions while it does"),
        "deploy": ("servers", "give a package file to a server"),
        "traffic": ("servers", "give the requests of a name to versions of it, by weight"),
        "rollback": ("servers", "let a server go back to the version before"),
        "status": ("servers", "what a server serves"),
        "token": ("servers", "make a token for a server; it is shown once"),
    },
    "and": {
        "keys": ("keys", "keys to sign with"),
        "completion": ("completion", "complete verbs, options and names in your shell"),
    },
}
"""The verbs by what they are about: each with its module in `verbs`, and what it does."""

_GLOBAL = """\
  -h, --help     this, or what a verb takes: tg VERB --help
  --version      the version of delivery
  --traceback    after an error: everything, not one screen of it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    full = "--traceback" in given[: given.index("--") if "--" in given else len(given)]
    if full:
        given.remove("--traceback")
    if given[:1] == ["help"]:
        given = [*given[1:], "--help"]
    if not given or given[0] in ("-h", "--help"):
        return _guarded(_show_help, full=full) or (0 if given else USAGE)
    if given[0] == "--version":
        return _guarded(_show_version, full=full)
    if given[0] not in verbs():
        return _unknown(given[0])
    parsed: Any = None

    def call() -> int:
        nonlocal parsed
        parsed = parser_of(given[0]).parse_args(given[1:])  # here, since its help says where files are
        code: int = parsed.call(parsed)
        return code

    return _guarded(call, full=full, as_json=lambda: getattr(parsed, "json", False))


def verbs() -> dict[str, tuple[str, str]]:
    """All verbs, in the order in which they are shown."""
    return {verb: told for group in HEADINGS.values() for verb, told in group.items()}


def parser_of(verb: str) -> ArgumentParser:
    """What a verb takes. `call` of what is parsed runs it."""
    module, told = verbs()[verb]
    parser = _Parser(
        prog=f"tg {verb}",
        description=told[0].upper() + told[1:] + ".",
        allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
    )
    import_module(f".verbs.{module}", __package__).VERBS[verb](parser)
    parser.add_argument("--traceback", action="store_true", help="after an error: everything, not one screen of it")
    parser.usage = _usage(verb, parser)
    return parser


def _usage(verb: str, parser: ArgumentParser) -> str:
    """What has to be given; the options that may be are listed below it anyway."""
    words = ["tg", verb]
    for action in parser._actions:
        name = action.metavar if isinstance(action.metavar, str) else action.dest
        if action.option_strings and action.required:
            words += [action.option_strings[0], "{" + ",".join(action.choices) + "}" if action.choices else name]
        elif not action.option_strings:
            words.append({"?": f"[{name}]", "+": f"{name} …"}.get(str(action.nargs), name))
    return " ".join([*words, "[options]"])


class _Parser(ArgumentParser):
    """One that says what to do about what it does not understand."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"tg: {message}. `{self.prog} --help` shows what it takes.\n")


def _guarded(call: Callable[[], int], *, full: bool, as_json: Callable[[], bool] = lambda: False) -> int:
    """Call it, and make one screen of what it raises."""
    if (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8") and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = call()
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `| head` has seen enough; what is left to be written is written nowhere
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        print("tg: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 the edge of the program: whatever it is, it is told
        from .complaint import Complaint

        complaint = Complaint.of(error)
        if as_json():
            import json

            print(json.dumps({"error": complaint.to_json()}))
        print(complaint.text(full=full), file=sys.stderr)
        return complaint.exit_code


def _show_help() -> int:
    from .terminal import bold

    print("tg VERB …   Deliver objects together with the source they were written with.")
    for heading, group in HEADINGS.items():
        print(f"\n{bold(heading)}")
        for verb, (_, told) in group.items():
            print(f"  {verb:<12} {told}")
    print(f"\n{bold('options')}\n{_GLOBAL}")
    print(
        "With --json, what tells something tells it to a program. Exit codes, places to run, shells: docs/command-line.md"
    )
    return 0


def _show_version() -> int:
    from .version import version

    print(f"tg {version()}")
    return 0


def _unknown(word: str) -> int:
    from difflib import get_close_matches

    if word.startswith("-"):
        hint = "Options of a verb stand after it."
    else:
        near = get_close_matches(word, verbs(), 1)
        hint = f"Is it `tg {near[0]}`?" if near else ""
    print(" ".join(filter(None, [f"tg: there is no {word}.", hint, "`tg --help` lists the verbs."])), file=sys.stderr)
    return USAGE
