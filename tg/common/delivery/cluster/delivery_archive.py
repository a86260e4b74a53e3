"""The archive of delivery itself, as this process has it: what the bootstrap brings to workers."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .bootstrap import private_name

__all__ = ["DeliveryArchive"]

_LEFT_OUT = ("cli", "serving")
"""Rooms that no worker of a cluster needs."""

_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class DeliveryArchive:
    """A zip file of `tg/common`, as bytes, and their digest, which names it."""

    digest: str
    data: bytes

    @staticmethod
    @lru_cache(maxsize=1)
    def of_this_process() -> DeliveryArchive:
        """The archive of the source that this very module comes from: the same source, the same digest."""
        common = Path(__file__).parents[2]
        files = {
            file.relative_to(common).as_posix(): file.read_bytes()
            for file in sorted(common.rglob("*.py"))
            if not set(file.relative_to(common).parts) & set(_LEFT_OUT)
        }
        digest = hashlib.sha256()
        for path, data in files.items():
            digest.update(f"{path}\0{len(data)}\0".encode() + data)
        name = private_name(digest.hexdigest())
        made = {f"{name}/__init__.py": b"", f"{name}/tg/__init__.py": b""}
        made |= {f"{name}/tg/common/{path}": data for path, data in files.items()}
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path, data in made.items():
                archive.writestr(zipfile.ZipInfo(path, _TIME), data)
        return DeliveryArchive(digest.hexdigest(), written.getvalue())
