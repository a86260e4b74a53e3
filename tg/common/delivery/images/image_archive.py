"""An image as one tar that engines load, in both formats at once.

`manifest.json` is what engines with a graph driver and podman read (docker image spec 1.2), `index.json` with `oci-layout`
and `blobs/` is an OCI layout (image-spec 1.1, image-layout.md), which containerd reads. Layers that the engine has already
can be left out: it finds them by what they are stacked on.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Collection, Iterator
from typing import Any

from .blob import INDEX, Blob
from .image import Image
from .layer_writer import FIXED_TIME
from .reference import Reference

__all__ = ["archive_of", "archive_size"]

_CHUNK_BYTES = 1024 * 1024


def archive_of(image: Image, *, without: Collection[str] = ()) -> Iterator[bytes]:
    """The archive in pieces; `without` are diff IDs of layers to leave out."""
    names = [image.reference]
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {
                **image.manifest.descriptor,
                "annotations": {
                    "io.containerd.image.name": str(Reference.parse(image.reference)),
                    "org.opencontainers.image.ref.name": image.tag,
                },
            }
        ],
    }
    docker = [{"Config": image.config.file, "RepoTags": names, "Layers": [one.blob.file for one in image.layers]}]
    left_out = {layer.blob.digest for layer in image.layers if layer.diff_id in without}
    yield _small("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield _small("index.json", _json(index))
    yield _small("manifest.json", _json(docker))
    for blob in image.blobs:
        if blob.digest not in left_out:
            yield from _member(blob)
    yield bytes(2 * tarfile.BLOCKSIZE)


def archive_size(image: Image, *, without: Collection[str] = ()) -> int:
    """How many bytes of layers, config and manifest are in it: the archive is longer by some KiB."""
    left_out = {layer.blob.digest for layer in image.layers if layer.diff_id in without}
    return sum(blob.size for blob in image.blobs if blob.digest not in left_out)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _member(blob: Blob) -> Iterator[bytes]:
    yield _header(blob.file, blob.size)
    with blob.open() as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
    if blob.size % tarfile.BLOCKSIZE:  # an empty piece would end a request that is sent in pieces
        yield bytes(-blob.size % tarfile.BLOCKSIZE)


def _small(name: str, data: bytes) -> bytes:
    return _header(name, len(data)) + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, FIXED_TIME
    return info.tobuf(tarfile.PAX_FORMAT)
