"""Containers of samples: started, read to their first line, and taken away again."""

from __future__ import annotations

from typing import Any


def first_line(api: Any, config: dict[str, Any]) -> tuple[str, str]:
    """Create and start a container, and wait for a line of it; its id, and the line.

    Both sides are read in the same way, which is delivery's: it asks the engine once, as little as can be.
    """
    from tg.common.delivery.execution.container_logs import ContainerLogs

    container = api.create_container_from_config(config)["Id"]
    api.start(container)
    lines = ContainerLogs(container, pieces_are_full=True).read(api)
    line = next(lines)
    lines.close()
    return container, line


def remove(api: Any, *, container: str | None = None, image: str | None = None) -> None:
    """Take away what a sample has left; a container that still runs is ended."""
    if container is not None:
        api.remove_container(container, force=True)
    if image is not None:
        api.remove_image(image, force=True)
