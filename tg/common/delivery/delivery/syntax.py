"""Whether modules parse, under the Python that runs.

Parsing is most of the work of making a package for the first time. A second process takes a share of it, since
threads would only take turns.
"""

from __future__ import annotations

import json
import symtable
import sys
from collections.abc import Sequence

__all__ = ["Place", "errors_here", "first_errors"]

Place = tuple[int, str]
"""A line, and what is wrong there."""

_WORTH_A_PROCESS = 100
_SHARE = 0.45  # of the other process: it also has to start
_CHILD = """
import json, sys
sys.path.insert(0, {folder!r})
import syntax
modules = json.load(sys.stdin)
json.dump(syntax.errors_here([(path, source.encode("latin-1")) for path, source in modules]), sys.stdout)
"""


def first_errors(modules: Sequence[tuple[str, bytes]]) -> list[Place | None]:
    """The first error of each module, given as path and source; `None` for each that parses."""
    if len(modules) < _WORTH_A_PROCESS or not sys.executable:
        return errors_here(modules)
    import os
    import subprocess

    share = int(len(modules) * _SHARE)
    theirs, ours = modules[:share], modules[share:]
    # -I -S: nothing of the user's environment or site-packages has a say in it, and it starts three times as fast.
    command = [sys.executable, "-I", "-S", "-W", "ignore", "-c", _CHILD.format(folder=os.path.dirname(__file__))]
    try:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:  # the executable is gone, or no process can be started
        return errors_here(modules)
    with child:
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(json.dumps([(path, source.decode("latin-1")) for path, source in theirs]).encode())
            child.stdin.close()
            checked = errors_here(ours)
            answer = child.stdout.read()
        except BrokenPipeError:
            answer, checked = b"", errors_here(ours)
    if child.returncode != 0:
        return [*errors_here(theirs), *checked]
    return [*(place and (place[0], place[1]) for place in json.loads(answer)), *checked]


def errors_here(modules: Sequence[tuple[str, bytes]]) -> list[Place | None]:
    """What `first_errors` gives, found in this process."""
    return [_first_error(path, source) for path, source in modules]


def _first_error(path: str, source: bytes) -> Place | None:
    try:
        symtable.symtable(source, path, "exec")  # type: ignore[arg-type]  # takes bytes as well, and heeds their encoding
    except SyntaxError as error:
        return error.lineno or 1, error.msg
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; nesting deeper than the parser goes
        return 1, str(error) or type(error).__name__
    return None
