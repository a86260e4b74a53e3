"""The manifest: what a signer says of a package, file by file. It is what is signed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .envelope import Envelope
from .keys import SigningKey

__all__ = ["KIND", "FileEntry", "Manifest"]

KIND = "application/vnd.training-grounds.package-manifest.v1+json"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """A file of a package: its SHA-256 in hexadecimal digits, its size in bytes, and whether it can be executed."""

    sha256: str
    size: int
    executable: bool = False


@dataclass(frozen=True)
class Manifest:
    """What a signer says of a package.

    - `sequence` grows with every package of that name that is signed: an older one is told from a newer by it.
    - `requires_python`, `built_with`, `platform`: the Pythons it is for, the one that made it, and on what.
    - `lock`: digest of the requirements that it declares. `source`, `content`: those of `package.json`.
    - `created`, `expires`: seconds since 1970; `expires` is `None` for one that does not.
    - `files`: all files of the package by path, but for RECORD, which says no more than this, and the envelope itself.
    """

    name: str
    version: str
    module_name: str
    sequence: int
    requires_python: str
    built_with: str
    platform: str
    lock: str
    source: str
    content: str
    created: int
    expires: int | None
    signer: str
    files: Mapping[str, FileEntry]

    def payload(self) -> bytes:
        """The canonical form: JSON with sorted keys and no blanks, in UTF-8 (the part of RFC 8785 that this needs)."""
        content = {
            "format": 1,
            "name": self.name,
            "version": self.version,
            "module_name": self.module_name,
            "sequence": self.sequence,
            "python": {"requires": self.requires_python, "built_with": self.built_with},
            "platform": self.platform,
            "digests": {"lock": self.lock, "source": self.source, "content": self.content},
            "created": _text(self.created),
            "expires": None if self.expires is None else _text(self.expires),
            "signer": self.signer,
            "files": {
                path: {"sha256": one.sha256, "size": one.size, "mode": "0755" if one.executable else "0644"}
                for path, one in self.files.items()
            },
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def parse(cls, payload: bytes) -> Manifest:
        """Read the canonical form, and no other. Raises `ValueError`."""
        try:
            found = json.loads(payload)
            read = cls._of_json(found)
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"it is no manifest ({type(error).__name__}: {error})") from error
        if read.payload() != payload:
            raise ValueError("it is no manifest in the canonical form")
        return read

    @classmethod
    def _of_json(cls, found: Any) -> Manifest:
        files = {str(path): _file_entry(path, one) for path, one in found["files"].items()}
        sequence = found["sequence"]
        if type(sequence) is not int or sequence < 0:
            raise ValueError(f"its sequence number is {sequence!r}")
        return cls(
            name=str(found["name"]),
            version=str(found["version"]),
            module_name=str(found["module_name"]),
            sequence=sequence,
            requires_python=str(found["python"]["requires"]),
            built_with=str(found["python"]["built_with"]),
            platform=str(found["platform"]),
            lock=str(found["digests"]["lock"]),
            source=str(found["digests"]["source"]),
            content=str(found["digests"]["content"]),
            created=_seconds(found["created"]),
            expires=None if found["expires"] is None else _seconds(found["expires"]),
            signer=str(found["signer"]),
            files=files,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal digits."""
        return hashlib.sha256(self.payload()).hexdigest()

    def signed(self, key: SigningKey) -> Envelope:
        """The envelope that goes into the package."""
        return Envelope.sealed(KIND, self.payload(), key)


def _file_entry(path: object, found: Any) -> FileEntry:
    entry = FileEntry(found["sha256"], found["size"], found["mode"] == "0755")
    if not isinstance(path, str) or not _DIGEST.fullmatch(entry.sha256) or type(entry.size) is not int:
        raise ValueError(f"what it says of {path!r} cannot be right")
    return entry


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp())
