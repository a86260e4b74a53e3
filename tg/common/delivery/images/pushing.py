"""Pushing: handing an image on to where it is run from. A pusher is anything that has `push`."""

from __future__ import annotations

from typing import Protocol

from .credentials import Credentials
from .image import Image
from .reference import Reference
from .registry import Registry

__all__ = ["Pusher", "RegistryPusher"]


class Pusher(Protocol):
    """What containering hands images to.

    A registry that needs more than a push, such as ECR or Quay, fits in by a class of your own:

    class EcrPusher:
        def push(self, image):
            make_sure_that_there_is_a_repository(image.name)
            return RegistryPusher(REGISTRY, Credentials("AWS", Secret(token()))).push(image)
    """

    def push(self, image: Image) -> str:
        """Hand the image on, and return the full reference by which it can be run."""
        ...


class RegistryPusher:
    """Pushes straight to a registry, without an engine: `example_job:0.0.0` as `PREFIX/example_job:0.0.0`.

    - `registry_or_prefix`: `registry.example:5000`, `registry.example/team`, or `me` for a user of Docker Hub;
    - `credentials`: user and password; by default what `docker login` has stored.

    Raises `InvalidName`.
    """

    def __init__(self, registry_or_prefix: str, credentials: Credentials | None = None) -> None:
        self.prefix = registry_or_prefix.rstrip("/")
        self.credentials = credentials
        self._reference("image:tag")  # a prefix that cannot be is told before an image is made

    def push(self, image: Image) -> str:
        """Upload what the registry lacks; the full name. Raises `RegistryProblem`."""
        reference = self._reference(image.reference)
        with Registry(reference.registry, credentials=self.credentials) as registry:
            registry.push(image, reference)
        return str(reference)

    def _reference(self, name: str) -> Reference:
        return Reference.parse(f"{self.prefix}/{name}")
