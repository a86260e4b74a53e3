"""A blob: bytes with a name made of them (image-spec 1.1, descriptor.md). Layers, configs and manifests are blobs."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["CONFIG", "INDEX", "LAYER", "MANIFEST", "Blob", "Layer", "blob_file", "digest_of"]

CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(data: bytes) -> str:
    """`sha256:` and the hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def blob_file(digest: str) -> str:
    """The path of a blob in an OCI layout, and where it is kept here (image-spec 1.1, image-layout.md)."""
    return f"blobs/{digest.replace(':', '/')}"


@dataclass(frozen=True)
class Blob:
    """Bytes by their digest (`sha256:…`) and size. `open` gives a new binary stream of them, wherever they are.

    `origin` is the repository that has them already, `registry/repository`, for a registry that can mount them.
    """

    digest: str
    size: int
    media_type: str
    open: Callable[[], BinaryIO] = field(repr=False, compare=False)
    origin: str | None = field(default=None, compare=False)

    @classmethod
    def of_bytes(cls, data: bytes, media_type: str) -> Blob:
        """A blob in memory."""
        return cls(digest_of(data), len(data), media_type, lambda: io.BytesIO(data))

    @classmethod
    def of_json(cls, value: Any, media_type: str) -> Blob:
        """A blob in memory, written in one way: keys in order, no blanks."""
        return cls.of_bytes(json.dumps(value, separators=(",", ":"), sort_keys=True).encode(), media_type)

    @classmethod
    def of_file(cls, path: Path, digest: str, media_type: str) -> Blob:
        """A blob in a file whose digest is known."""
        return cls(digest, path.stat().st_size, media_type, lambda: path.open("rb"))

    def read(self) -> bytes:
        """All of it. For manifests and configs; layers are streamed."""
        with self.open() as stream:
            return stream.read()

    @property
    def descriptor(self) -> dict[str, Any]:
        """How a manifest or an index names it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}

    @property
    def file(self) -> str:
        """Its path in an OCI layout."""
        return blob_file(self.digest)


@dataclass(frozen=True)
class Layer:
    """A layer: the blob, a gzipped tar; `diff_id`, the digest of the tar itself; and how it came to be, in words."""

    blob: Blob
    diff_id: str
    created_by: str
