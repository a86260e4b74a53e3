"""The program of a process that works apart; see `apart.py`. The standard library alone is there."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from typing import Any

from ..runtime.errors import WorkerEnded
from .apart import ANSWER, HEADER, SAID
from .node import work

__all__ = ["serve"]


def serve(descriptor: int) -> None:
    """Answer orders, in the process of that environment, until there are no more."""
    reading, lock = sys.stdin.buffer, threading.Lock()
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 as long as the process
    with open(descriptor, "wb") as out:

        def send(kind: bytes, data: bytes) -> None:
            with lock:
                out.write(HEADER.pack(kind, len(data)) + data)
                out.flush()

        while True:
            try:
                order, items = pickle.load(reading)
            except EOFError:
                return
            answer = work(
                order,
                items,
                fetch=_nothing,
                tell=lambda text: send(SAID, text.encode("utf-8", "replace")),
                is_apart=True,
            )
            send(ANSWER, answer)


def _nothing() -> Any:
    raise WorkerEnded("the store of the node has lost the package.", exit_code=None, stderr="")
