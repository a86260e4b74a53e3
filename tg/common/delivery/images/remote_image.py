"""An image as a registry has it: its manifest and config, read with every check; and the choice by platform."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..runtime.errors import ImageProblem
from .blob import INDEX, MANIFEST, Layer
from .reference import Reference

__all__ = ["ACCEPTED", "RemoteImage", "chosen_image", "parsed_content", "shown_platform"]

ACCEPTED = (
    MANIFEST,
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""Types of manifests and indexes that are read."""


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True)
class RemoteImage:
    """An image as a registry has it: the name with its digest, the manifest and the config as they are there.

    Layers have OCI's media types, are fetched when their blobs are opened, and have the repository as their `origin`.
    """

    reference: Reference
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]


def chosen_image(index: Mapping[str, Any], platform: tuple[str, str, str | None], reference: Reference) -> str:
    """The digest of the image for a platform; without a variant asked for, one that has none comes first."""
    offered = [(entry.get("platform") or {}, entry["digest"]) for entry in index["manifests"]]
    system, architecture, variant = platform
    fitting = [
        (one.get("variant"), digest)
        for one, digest in offered
        if (one.get("os"), one.get("architecture")) == (system, architecture) and variant in (None, one.get("variant"))
    ]
    if not fitting:
        # What is "unknown" is no image: docker keeps attestations in an index.
        shown = {
            shown_platform(one.get("os"), one.get("architecture"), one.get("variant"))
            for one, _ in offered
            if one.get("os") not in (None, "unknown")
        }
        raise ImageProblem(
            f"{reference.familiar} has no image for {shown_platform(*platform)}. It has {', '.join(sorted(shown)) or 'none at all'}."
        )
    return cast(str, min(fitting, key=lambda one: one[0] is not None)[1])


def shown_platform(system: str | None, architecture: str | None, variant: str | None = None) -> str:
    """`linux/arm64/v8`."""
    return "/".join(part for part in (system, architecture, variant) if part)


def parsed_content(content: bytes, reference: Reference, what: str = "manifest") -> dict[str, Any]:
    """A manifest, index or config. Raises `ImageProblem` when it is none that can be used."""
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ImageProblem(f"the {what} of {reference.familiar} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ImageProblem(f"the {what} of {reference.familiar} is not an object of JSON.")
    # One or the other, lest two readers see two images in it (image-spec 1.1, manifest.md, on mediaType).
    if what == "manifest" and ("manifests" in value) == ("config" in value and "layers" in value):
        raise ImageProblem(
            f"{reference.familiar} has a manifest of {value.get('mediaType') or 'no known type'}, schema version "
            f"{value.get('schemaVersion')}, which is not an image of OCI or docker (v2, schema 2). Push it again with a newer tool."
        )
    if what == "manifest":
        named = value["manifests"] if "manifests" in value else [value["config"], *value["layers"]]
        for entry in named:
            # They become parts of addresses here, and of paths where blobs are kept.
            if not (
                isinstance(entry, dict)
                and _DIGEST.fullmatch(str(entry.get("digest")))
                and isinstance(entry.get("size"), int)
                and isinstance(entry.get("mediaType"), str)
            ):
                raise ImageProblem(
                    f"the manifest of {reference.familiar} names something without digest, size and type."
                )
    return value
