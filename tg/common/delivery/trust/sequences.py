"""Sequence numbers: the last one given to a package of a name that was signed here, and the highest that was accepted.

    TRUST/given/<name>      the last number given
    TRUST/highest/<name>    the highest number accepted, and the digest of the manifest that had it

Numbers are milliseconds since 1970, so that several machines can sign packages of one name; where a clock goes back, the
last number and one. Both files are changed under a lock, whole or not at all, so a crash forgets nothing.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...locations import Loc
from ..runtime.errors import TrustProblem
from ..runtime.whole_files import make_private_folder, write_whole

__all__ = ["next_sequence", "note_sequence"]


def next_sequence(name: str) -> int:
    """A number for the next package of that name that is signed; higher than all before."""
    with _locked(Loc.trust / "given" / name) as file:
        sequence = max(time.time_ns() // 1_000_000, _number(file) + 1)
        _write(file, str(sequence))
    return sequence


def note_sequence(name: str, sequence: int, manifest_digest: str, *, back: bool) -> str | None:
    """Accept a package, unless a newer one of that name was: then the reason not to. `back`: accept it all the same.

    A number that was accepted is accepted again, with the same manifest.
    """
    with _locked(Loc.trust / "highest" / name) as file:
        highest = _number(file)
        if not back and sequence < highest:
            return f"its sequence number is {sequence}, and one with {highest} was accepted here before"
        known = _words(file)[1:] if sequence == highest else [manifest_digest]
        if not back and known != [manifest_digest]:
            return f"its sequence number is {sequence}, and another package with that number was accepted here before"
        if highest != sequence or known != [manifest_digest]:
            _write(file, f"{sequence} {manifest_digest}")
    return None


@contextmanager
def _locked(file: Path) -> Iterator[Path]:
    try:
        make_private_folder(file.parent)
        with open(os.open(file.parent / ".lock", os.O_RDWR | os.O_CREAT, 0o600), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield file
    except OSError as error:
        raise TrustProblem(
            f"which packages were accepted or signed cannot be kept in {file.parent}: {error.strerror}. That is needed to tell "
            f"an older package from a newer one; make the folder writable."
        ) from error


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []


def _number(file: Path) -> int:
    try:
        words = _words(file)
        return int(words[0]) if words else -1
    except ValueError as error:
        raise TrustProblem(
            f"{file} was altered: it has no number. Remove it, if you know which package is the newest."
        ) from error


def _write(file: Path, text: str) -> None:
    write_whole(file, lambda opened: opened.write(text.encode()))
