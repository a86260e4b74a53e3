"""An image as a value: manifest, config and layers (image-spec 1.1). Composing makes it, pushers hand it on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .blob import CONFIG, MANIFEST, Blob, Layer

__all__ = ["CREATED", "Image"]

CREATED = "1980-01-01T00:00:00Z"
"""What an image says of when it was made: the time that all files in it have."""


@dataclass(frozen=True)
class Image:
    """A composed image. `name` is the repository it is called (`example_job`, `registry:5000/team/job`), `tag` its tag."""

    name: str
    tag: str
    manifest: Blob
    config: Blob
    layers: tuple[Layer, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str = "linux/amd64"

    @classmethod
    def of(cls, name: str, tag: str, config: Mapping[str, Any], layers: Sequence[Layer]) -> Image:
        """The image of a config that has all but its layers. Its labels are annotations of the manifest as well."""
        labels = dict(config["config"].get("Labels") or {})
        platform = f"{config['os']}/{config['architecture']}"
        history = [{"created": config["created"], "created_by": layer.created_by} for layer in layers]
        rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
        config_blob = Blob.of_json({**config, "rootfs": rootfs, "history": history}, CONFIG)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config_blob.descriptor,
            "layers": [layer.blob.descriptor for layer in layers],
            "annotations": labels,
        }
        return cls(name, tag, Blob.of_json(manifest, MANIFEST), config_blob, tuple(layers), labels, platform)

    @property
    def reference(self) -> str:
        """`name:tag`."""
        return f"{self.name}:{self.tag}"

    @property
    def id(self) -> str:
        """What engines call it: the digest of its config."""
        return self.config.digest

    @property
    def digest(self) -> str:
        """What registries call it: the digest of its manifest."""
        return self.manifest.digest

    @property
    def blobs(self) -> Iterator[Blob]:
        """All blobs, each once, the manifest last."""
        seen = set()
        for blob in (*(layer.blob for layer in self.layers), self.config, self.manifest):
            if blob.digest not in seen:
                seen.add(blob.digest)
                yield blob
