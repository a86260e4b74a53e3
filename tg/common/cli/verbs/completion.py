"""The verb `completion`: what a shell is told, so that it completes verbs, options and names.

The shell asks `tg completion --words …` at each Tab; that costs what `tg --help` does.
"""

from __future__ import annotations

import argparse
import contextlib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable

from ...delivery.runtime.errors import DeliveryError
from ..command import parser_of, verbs

__all__ = ["VERBS", "candidates"]

_SCRIPTS = {
    "bash": """\
_tg() {
    local IFS=$'\\n'
    COMPREPLY=($(tg completion --words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default
}
complete -F _tg tg
""",
    "zsh": """\
#compdef tg
_tg() {
    local -a found
    found=("${(@f)$(tg completion --words "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then compadd -- "${found[@]}"; else _files; fi
}
compdef _tg tg
""",
    "fish": """\
function __tg
    set -l words (commandline -opc) (commandline -ct)
    tg completion --words $words[2..-1] 2>/dev/null
end
complete -c tg -a '(__tg)'
""",
}
_NAMES = {"uninstall": "packages", "list": "packages", "logs": "runs", "result": "runs", "cancel": "runs"}


def _completion_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", nargs="?", choices=sorted(_SCRIPTS), help="whose script is printed")
    parser.add_argument("--words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.epilog = """\
bash    eval "$(tg completion bash)"          in ~/.bashrc
zsh     eval "$(tg completion zsh)"           in ~/.zshrc, after compinit
fish    tg completion fish | source           in ~/.config/fish/config.fish"""
    parser.set_defaults(call=_completion)


def _completion(options: Namespace) -> int:
    if options.words is not None:
        print("\n".join(candidates(options.words)))
    elif options.shell:
        print(_SCRIPTS[options.shell], end="")
    else:
        raise DeliveryError("which shell is it? tg completion bash, zsh or fish.")
    return 0


def candidates(words: list[str]) -> list[str]:
    """What the last of these words, which follow `tg`, may become. Nothing means a file."""
    *before, begun = words or [""]
    if not before:
        return _beginning(begun, [*verbs(), "--help", "--version"])
    if before[0] not in verbs():
        return []
    parser = parser_of(before[0])
    actions = {option: action for action in parser._actions for option in action.option_strings}
    previous = actions.get(before[-1])
    if previous is not None and previous.nargs != 0:
        return _beginning(begun, _values_of(previous))
    if begun.startswith("-"):
        given = set(before)
        return _beginning(begun, [one for one in actions if one.startswith("--") and one not in given])
    positional = [action for action in parser._actions if not action.option_strings]
    for action in positional[:1]:
        if action.choices:
            return _beginning(begun, action.choices)
    return _beginning(begun, _names(_NAMES.get(before[0])))


def _values_of(action: argparse.Action) -> Iterable[str]:
    if action.choices:
        return map(str, action.choices)
    return ("process", "attached", "docker", "ssh://", "ray://", "dask://") if action.dest == "place" else ()


def _names(kind: str | None) -> list[str]:
    from ...locations import Loc

    with contextlib.suppress(OSError):
        if kind == "packages":
            return sorted(one.name for one in (Loc.store / "names").iterdir())
        if kind == "runs":
            return sorted(one.name for one in Loc.runs.iterdir())
    return []


def _beginning(begun: str, words: Iterable[str]) -> list[str]:
    return [one for one in words if one.startswith(begun)]


VERBS = {"completion": _completion_arguments}
