"""The names of labels: those that OCI has defined (image-spec 1.1, annotations.md), and ours."""

from __future__ import annotations

__all__ = ["BASE_DIGEST", "BASE_NAME", "PACKAGE", "PREFIX", "REVISION", "STACK", "TITLE", "VERSION"]

TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
REVISION = "org.opencontainers.image.revision"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"

PREFIX = "tg.delivery"
"""What our own labels begin with."""
PACKAGE = f"{PREFIX}.package"
STACK = f"{PREFIX}.stack"
"""What lies below the package layer, by digest: images with an equal one share all but that layer."""
