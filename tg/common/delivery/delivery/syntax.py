"""The syntax check of many modules. Parsing is most of the work of making a package for the first time.

So most of it is done by a second process (threads would only take turns), while this one reads, hashes and writes.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from . import parsing
from .parsing import Place

__all__ = ["SyntaxCheck"]

_WORTH_A_PROCESS = 100
_THEIRS = 8, 10  # of ten files, the other process takes eight: it starts at once, this one has other things to do first


class SyntaxCheck:
    """Finds the first error of each of many modules; a context manager, which ends the other process."""

    def __init__(self, locations: Sequence[str]) -> None:
        """Start to look at the files that will be asked for, as far as that is known; for a few there is no hurry."""
        share, of = _THEIRS
        # Spread evenly, so that a folder of big modules falls to both.
        self._theirs = [location for index, location in enumerate(locations) if index % of < share]
        self._child = _start(self._theirs) if len(locations) >= _WORTH_A_PROCESS else None

    def __enter__(self) -> SyntaxCheck:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._child is not None:
            self._child.end()

    def errors(self, modules: Mapping[str, bytes]) -> dict[str, Place | None]:
        """The first error of each module, given as location and source; `None` for each that parses."""
        theirs = set(self._theirs if self._child is not None else ())
        found = {where: parsing.syntax_error(where, source) for where, source in modules.items() if where not in theirs}
        answered = self._answers()
        for where in theirs & modules.keys():
            answer = answered.get(where, False)
            # False: it could not read the file, or somebody ended it.
            found[where] = parsing.syntax_error(where, modules[where]) if isinstance(answer, bool) else answer
        return found

    def _answers(self) -> dict[str, Place | bool | None]:
        if self._child is None:
            return {}
        try:
            return dict(zip(self._theirs, marshal.loads(self._child.answer()), strict=True))
        except (OSError, EOFError, ValueError, TypeError):  # it was ended before it was done
            return {}


class _Child:
    """The other process. Started without `subprocess`, whose import takes as long as checking thirty modules."""

    def __init__(self, question: bytes) -> None:
        """Raises `OSError` when no process can be started."""
        # -I -S: nothing of the user's environment or site-packages has a say in it, and it starts sooner.
        command = [sys.executable, "-I", "-S", "-W", "ignore", parsing.__file__]
        their_input, our_output = os.pipe()
        our_input, their_output = os.pipe()
        try:
            actions = [(os.POSIX_SPAWN_DUP2, their_input, 0), (os.POSIX_SPAWN_DUP2, their_output, 1)]
            self._pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
        except OSError:
            os.close(our_output)
            os.close(our_input)
            raise
        finally:
            os.close(their_input)
            os.close(their_output)
        self._input = os.fdopen(our_input, "rb")
        with suppress(BrokenPipeError), open(our_output, "wb") as file:  # when it was ended, its answer is missed
            file.write(question)

    def answer(self) -> bytes:
        """All that it writes."""
        return self._input.read()

    def end(self) -> None:
        """End it, if it has not ended."""
        self._input.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # somebody waits for all children
            os.waitpid(self._pid, 0)


def _start(locations: Sequence[str]) -> _Child | None:
    if not hasattr(os, "posix_spawn"):  # Windows
        return None
    try:
        return _Child(marshal.dumps(list(locations)))
    except OSError:  # no executable (an embedded Python), or no more processes
        return None
