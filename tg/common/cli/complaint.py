"""A complaint: what went wrong, where, and what to do about it, on one screen."""

from __future__ import annotations

import os
import re
import sys
import traceback
from dataclasses import dataclass
from types import TracebackType

from ..delivery.runtime.errors import DeliveryError, JobFailed, RunFailed
from .exit_codes import FAULT, JOB_FAILED, REFUSED
from .terminal import coloured, lines_and_columns

__all__ = ["Complaint"]

_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_ROOM_FOR_PROMPT = 4


@dataclass(frozen=True)
class Complaint:
    """An exception that ended a verb, with the exit code that it means."""

    error: BaseException
    message: str
    exit_code: int

    @classmethod
    def of(cls, error: Exception) -> Complaint:
        """What is to be said of an error: of delivery's own what they say, of others where they were raised."""
        if isinstance(error, JobFailed):
            # Its traceback is among the lines of the run, and comes with --traceback.
            headline = str(error).partition("\n\n")[0]
            place = _job_place(error.traceback, headline.partition(" ")[0])
            return cls(error, f"{headline}{place}\nCorrect the job; --traceback shows the way to it.", JOB_FAILED)
        if isinstance(error, RunFailed):
            return cls(error, str(error), JOB_FAILED)
        if isinstance(error, DeliveryError):
            return cls(error, str(error), REFUSED)
        if isinstance(error, OSError) and error.filename is not None:
            said = (error.strerror or type(error).__name__).lower()
            return cls(
                error,
                f"{os.fspath(error.filename)}: {said}. Look whether the path is right, and yours to use.",
                REFUSED,
            )
        kind = f"{type(error).__name__}: {error}".rstrip(": ")
        file, line = _place(error.__traceback__)
        return cls(
            error,
            f"{kind}\n  at {file}:{line}\nNothing of delivery raises this on purpose. `tg --traceback …` shows the way to it; please report it.",
            FAULT,
        )

    def text(self, *, full: bool) -> str:
        """What a person is shown: one screen of it, unless it is to be all."""
        shown = self.message if full else _one_screen(self.message)
        first, *rest = shown.split("\n")
        head = coloured("tg:", "bold", "red", stream=sys.stderr)
        text = "\n".join([f"{head} {first}", *rest])
        if full:
            text = "".join(traceback.format_exception(type(self.error), self.error, self.error.__traceback__)) + text
        return text

    def to_json(self) -> dict[str, object]:
        """Plain values, for `json.dumps`."""
        return {"type": type(self.error).__name__, "message": self.message, "exit_code": self.exit_code}


def _place(trace: TracebackType | None) -> tuple[str, int]:
    """The last line that is not delivery's own, or the last at all."""
    frames = traceback.extract_tb(trace)
    theirs = [one for one in frames if not one.filename.startswith((_HERE, "<frozen"))]
    found = (theirs or frames)[-1:]
    return (found[0].filename, found[0].lineno or 0) if found else ("nowhere", 0)


def _job_place(trace: str, module_name: str) -> str:
    """The last line of a job's traceback that is in its package, by its path there."""
    inside = re.findall(rf'^  File ".+/{re.escape(module_name)}/(.+)", line (\d+)', trace, re.MULTILINE)
    return "\n  at {}:{}".format(*inside[-1]) if inside else ""


def _one_screen(message: str) -> str:
    """As many lines as fit, from the beginning and from the end: a traceback says at its end what it was."""
    lines = message.split("\n")
    room = max(lines_and_columns()[0] - _ROOM_FOR_PROMPT, 12)
    if len(lines) <= room:
        return message
    first = room // 3
    last = room - first - 1
    left_out = len(lines) - first - last
    return "\n".join([*lines[:first], f"… {left_out} lines more: --traceback shows them", *lines[-last:]])
