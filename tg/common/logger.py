"""The logger of jobs and of delivery: the standard library's logger named `tg`, one for the whole process.

Every delivered version carries a copy of this file, and all copies talk to that one logger: lines go wherever the
running program sends them, whichever `tg` they come from. Where the program has configured nothing, they go to the
standard output as `2022-12-28 14:24:44.951052 INFO: SUCCESS`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import datetime

__all__ = ["LineFormatter", "Logger", "TgLogger", "program_has_handlers"]

_MARK = "tg-default-handler"


class LineFormatter(logging.Formatter):
    """`2022-12-28 14:24:44.951052 INFO: SUCCESS`: local time with microseconds, as the specification prints it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created).isoformat(sep=" ", timespec="microseconds")


class _DefaultHandler(logging.Handler):
    """Writes to the standard output of the moment, and steps back as soon as the program has a handler of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.set_name(_MARK)
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        if program_has_handlers():
            return
        stream = sys.stdout
        if stream is None:  # pythonw, daemons
            return
        try:
            stream.write(self.format(record) + "\n")
            stream.flush()
        except Exception:  # noqa: BLE001 as `logging` has it: a line that cannot be written takes no job down
            self.handleError(record)


def program_has_handlers() -> bool:
    """Whether anybody but us listens to the `tg` logger, on itself or above it."""
    logger: logging.Logger | None = logging.getLogger("tg")
    while logger is not None:
        if any(handler.get_name() != _MARK for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def _logger() -> logging.Logger:
    logger = logging.getLogger("tg")
    # The mark is a name, not a type: another version's copy of this file may have put the handler there.
    if not any(handler.get_name() == _MARK for handler in logger.handlers):
        logger.addHandler(_DefaultHandler())
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    return logger


class TgLogger:
    """`Logger.info(...)` and its neighbours, with the arguments of `logging.Logger`. Holds no state of its own."""

    def debug(self, message: object, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Log a line for whoever looks for a fault."""
        _logger().debug(message, *args, extra=extra, stacklevel=2)

    def info(self, message: object, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Log a line about the normal course of things."""
        _logger().info(message, *args, extra=extra, stacklevel=2)

    def warning(self, message: object, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Log a line about something that works, but perhaps not as meant."""
        _logger().warning(message, *args, extra=extra, stacklevel=2)

    def error(self, message: object, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Log a line about something that failed."""
        _logger().error(message, *args, extra=extra, stacklevel=2)

    def exception(self, message: object, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Log an error with the traceback of the exception being handled."""
        _logger().exception(message, *args, extra=extra, stacklevel=2)

    def log(self, level: int, message: object, *args: object, extra: Mapping[str, object] | None = None) -> None:
        """Log a line with a level of `logging`."""
        _logger().log(level, message, *args, extra=extra, stacklevel=2)

    def handle(self, record: logging.LogRecord) -> None:
        """Pass on a record that was made for this logger in another process."""
        logger = _logger()
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)


Logger = TgLogger()
