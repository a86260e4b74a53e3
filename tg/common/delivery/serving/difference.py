"""The program that compares the source of two versions, in a process of its own: it can take a second of nothing but computing."""

from __future__ import annotations

import socket
from pathlib import Path

from ..delivery.source_difference import files_of_folder, source_difference
from .frames import FAILED, READY, pack

__all__ = ["main"]


def main(connection: socket.socket, *, before: str, after: str) -> None:
    """Answer with the unified diff of two packages, given by their folders `UID/`."""
    try:
        files = source_difference(*(files_of_folder(Path(folder)) for folder in (before, after)))
        connection.sendall(pack(READY, facts={"difference": "".join(map(str, files))}))
    except OSError as error:  # one of them was removed meanwhile
        connection.sendall(pack(FAILED, facts={"reason": f"the versions cannot be compared: {error}"}))
