"""The log of a server: a JSON object a line, with the request, the name and the version it is about."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from .service import request_facts

__all__ = ["JsonLines", "about", "log_to_stderr"]

about: contextvars.ContextVar[Mapping[str, Any]] = contextvars.ContextVar("about", default={})  # noqa: B039 it is never changed
"""What every line is about that this thread logs, besides the request that a job answers in it."""


class JsonLines(logging.Formatter):
    """Formats a record as one line; what a caller gives as `extra={"facts": {...}}` becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **about.get(),
            **request_facts.get(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in line.items() if value not in ("", None)}, default=str)


def log_to_stderr() -> None:
    """Let everything in this process log like that, to its standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
