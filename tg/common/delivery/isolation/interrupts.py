"""Interrupts: what a signal's handler raises in the middle of whatever is running, and is no failure of that."""

from __future__ import annotations

import signal
import traceback
from typing import Any

__all__ = ["is_interrupt"]


def is_interrupt(error: BaseException) -> bool:
    """Whether it is Ctrl-C, an exit, or was raised by a handler that is set for a signal: a time limit, usually."""
    if not isinstance(error, Exception):
        return True
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()} - {None}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def _code_of(handler: Any) -> Any:
    function = getattr(handler, "func", handler)  # of `functools.partial`
    code = getattr(function, "__code__", None)
    return code if code is not None or not callable(function) else getattr(type(function).__call__, "__code__", None)
