"""Pushing an image to an engine: no registry, only the layers it lacks go there."""

from __future__ import annotations

import threading

from ..environments.platform import Platform
from .engine import Engine
from .image import Image

__all__ = ["EnginePusher"]


class EnginePusher:
    """Hands images to the engine that the docker CLI would use, or that of `host` (`ssh://me@server`).

    The connection is opened when it is needed first, and kept for the next image. A context manager.
    """

    def __init__(self, host: str | None = None) -> None:
        self.host = host
        self._engine: Engine | None = None
        self._opening = threading.Lock()

    def __enter__(self) -> EnginePusher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def push(self, image: Image) -> str:
        """Load what is missing; the name to run it by. Raises `EngineProblem`."""
        self.engine().load(image)
        return image.reference

    def platform(self) -> Platform:
        """What the engine's containers run on."""
        return self.engine().platform()

    def engine(self) -> Engine:
        """The connection; a new one where the last one is gone. Threads that wait for several runs share it."""
        with self._opening:
            if self._engine is None or not self._engine.stands:
                self.close()
                self._engine = Engine(self.host)
            return self._engine

    def close(self) -> None:
        """Close the connection. Can be called again."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
