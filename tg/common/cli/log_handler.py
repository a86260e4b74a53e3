"""What the library logs while a verb is at work, as lines on the standard error: progress in plain words, warnings as such."""

from __future__ import annotations

import logging
import sys

from .terminal import coloured

__all__ = ["LogHandler", "shown"]


class LogHandler(logging.Handler):
    """Writes to the standard error of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
            if record.levelno >= logging.WARNING:
                text = f"{coloured('warning:', 'bold', 'yellow', stream=sys.stderr)} {text}"
            else:
                text = coloured(text, "dim", stream=sys.stderr)
            if record.exc_info:
                text += "\n" + logging.Formatter().formatException(record.exc_info)
            print(text, file=sys.stderr, flush=True)
        except Exception:  # noqa: BLE001 as every handler of `logging` does
            self.handleError(record)


class shown:
    """`with shown():` the lines of the logger `tg` go to the standard error, and nowhere else."""

    def __init__(self) -> None:
        self._handler = LogHandler()
        self._logger = logging.getLogger("tg")

    def __enter__(self) -> None:
        self._level = self._logger.level
        self._logger.addHandler(self._handler)
        if self._level == logging.NOTSET:
            self._logger.setLevel(logging.INFO)

    def __exit__(self, *exception: object) -> None:
        self._logger.removeHandler(self._handler)
        self._logger.setLevel(self._level)
