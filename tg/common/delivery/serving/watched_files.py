"""Files that may be written anew while a server uses what it has read of them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["WatchedFiles"]


class WatchedFiles:
    """Notices that one of some files is another than before, or gone, or there."""

    def __init__(self, *files: Path) -> None:
        """As they are now: whoever reads them does so afterwards, and misses no change."""
        self._files = files
        self._looks = self._look()

    def have_changed(self) -> bool:
        """Whether they have since the last call; once for each change."""
        before, self._looks = self._looks, self._look()
        return self._looks != before

    def _look(self) -> list[tuple[int, ...] | None]:
        return [_look_of(file) for file in self._files]


def _look_of(file: Path) -> tuple[int, ...] | None:
    """What is another when a file has been written anew; `None` when it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
