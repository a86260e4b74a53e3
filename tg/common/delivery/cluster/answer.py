"""An answer: what a task of a cluster sends back, one for each batch of items."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..runtime import errors
from ..runtime.errors import DeliveryError

__all__ = ["Answer"]

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True)
class Answer:
    """What came of a batch.

    - `results`: a pickle of the list of results, without those of items that failed, under the package's names.
    - `failures`: by the item's place in the batch, `type`, `message` and `traceback`; see `failure_of`.
    - `logs`: by the item's place, what it printed and logged; -1 is what was said before the first.
    - `problem`: why nothing of it was done: the name of a delivery error, its arguments, its fields.
    - `unloadable`: what the job raised when it was loaded; `undone`: why nothing was done of the
      items, where one of them can be the reason: what reading them has raised, or that the process which had them ended.
    - `given_up`: whether it was cancelled meanwhile.
    - `worker`: where it was done; `seconds`: how long the items took.
    """

    results: bytes = b""
    failures: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    logs: Sequence[tuple[int, str]] = ()
    problem: tuple[str, Sequence[Any], Mapping[str, Any]] | None = None
    unloadable: Mapping[str, str] | None = None
    undone: Mapping[str, str] | None = None
    given_up: bool = False
    worker: str = ""
    seconds: float = 0.0

    def to_bytes(self) -> bytes:
        """Length of the facts, the facts as JSON, the results."""
        facts = {
            "failures": self.failures,
            "logs": self.logs,
            "problem": self.problem,
            "unloadable": self.unloadable,
            "undone": self.undone,
            "given_up": self.given_up,
            "worker": self.worker,
            "seconds": self.seconds,
        }
        text = json.dumps(facts, default=str).encode()
        return b"".join([_LENGTH.pack(len(text)), text, self.results])

    @classmethod
    def of_bytes(cls, data: bytes | memoryview) -> Answer:
        """Read back what `to_bytes` wrote."""
        view = memoryview(data)
        start = _LENGTH.size + _LENGTH.unpack_from(view)[0]
        facts = json.loads(bytes(view[_LENGTH.size : start]))
        facts["failures"] = {int(place): failure for place, failure in facts["failures"].items()}
        facts["logs"] = [(place, text) for place, text in facts["logs"]]
        return cls(results=bytes(view[start:]), **facts)

    @staticmethod
    def problem_of(error: DeliveryError) -> tuple[str, Sequence[Any], Mapping[str, Any]]:
        """How an error is told."""
        return type(error).__name__, error.args, vars(error)

    def error(self) -> DeliveryError | None:
        """The error of the whole batch, as it was raised on the worker."""
        if self.problem is None:
            return None
        name, arguments, fields = self.problem
        kind = getattr(errors, name, DeliveryError)
        error: DeliveryError = kind.__new__(kind, *arguments)
        vars(error).update(fields)
        error.args = (f"{arguments[0] if arguments else name} (on {self.worker})",)
        return error
