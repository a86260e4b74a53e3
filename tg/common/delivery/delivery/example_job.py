"""The smallest job, for trying delivery out."""

from __future__ import annotations

from ...logger import Logger

__all__ = ["ExampleJob"]


class ExampleJob:
    """Logs `SUCCESS`."""

    def run(self) -> None:
        """Log one line."""
        Logger.info("SUCCESS")
