"""A recipe: all that decides what an image is, frozen; and composing, which makes the image of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..environments.lock import Lock
from . import labels
from .base_image import BaseImage
from .bytecode import Interpreter
from .dependency_layers import dependency_layers
from .image import CREATED, Image
from .image_paths import HOME, PREFIX, TEMPORARY, USER, python_command
from .package_layer import BuiltPackage, package_layer

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """Base image, lock and package become an image called `name:tag`. The same recipe gives the same bytes."""

    name: str
    tag: str
    base: BaseImage
    lock: Lock
    package: BuiltPackage
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def compose(self) -> Image:
        """The image. Needs no engine and no network, but what uv needs to install the lock the first time."""
        interpreter = Interpreter.of_version(self.lock.python)
        layers = (
            *self.base.layers,
            *dependency_layers(self.lock, interpreter),
            package_layer(self.package, interpreter),
        )
        return Image.of(self.name, self.tag, self.config(), layers)

    def all_labels(self) -> dict[str, str]:
        """OCI's predefined keys (image-spec 1.1, annotations.md), ours, and the user's, who has the last word."""
        return {
            labels.TITLE: self.package.name,
            labels.VERSION: self.package.version,
            labels.REVISION: self.package.digest,
            labels.BASE_NAME: self.base.name,
            labels.BASE_DIGEST: self.base.digest,
            labels.PACKAGE: self.package.module_name,
            labels.STACK: self.stack,
            **self.labels,
        }

    @property
    def stack(self) -> str:
        """What lies below the package layer, by digest: images with an equal one share all but that layer."""
        return f"{self.base.digest}-{self.lock.digest[:32]}"

    def config(self) -> dict[str, Any]:
        """The image's config (image-spec 1.1, config.md) but for its layers: the base's, made to run this package."""
        inherited = {
            name: value for name, value in self.base.config.get("config", {}).items() if name in ("Env", "Volumes")
        }
        environment = dict(line.partition("=")[::2] for line in inherited.pop("Env", None) or [])
        path = environment.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        environment.update(
            HOME=f"/{HOME}",
            PATH=f"/{PREFIX}/bin:{path}",
            PYTHONDONTWRITEBYTECODE="1",
            PYTHONUNBUFFERED="1",
            PYTHONUSERBASE=f"/{PREFIX}",
            TMPDIR=f"/{TEMPORARY}",
        )
        environment.update(self.environment)
        return {
            "architecture": self.base.config["architecture"],
            "os": self.base.config["os"],
            **({"variant": self.base.config["variant"]} if self.base.config.get("variant") else {}),
            "created": CREATED,
            "config": {
                **inherited,
                "Entrypoint": [python_command(self.lock.python), "-m", self.package.module_name],
                "Env": [f"{name}={value}" for name, value in environment.items()],
                "Labels": self.all_labels(),
                "StopSignal": "SIGTERM",
                "User": f"{USER}:{USER}",
                "WorkingDir": f"/{HOME}",
            },
        }
