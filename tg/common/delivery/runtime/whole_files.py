"""Files that appear whole: whoever looks sees the old one or the new one, and never half of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

__all__ = ["write_whole"]

Written = TypeVar("Written")


def write_whole(path: Path, write: Callable[[BinaryIO], Written]) -> Written:
    """Let `write` fill a file under a temporary name beside `path`, rename it, and return what `write` returned.

    Whatever is raised meanwhile, an interrupt too, leaves no temporary file: its name is known before there is one.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        with temporary.open("xb") as file:
            written = write(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return written
