"""The locks that installed packages have brought: what their requirements were resolved to, for one target each."""

from __future__ import annotations

import sys
from pathlib import Path

from ..environments.lock import Lock
from ..environments.platform import Platform
from ..runtime.errors import DependencyProblem
from .facts import LOCKS, PackageFacts

__all__ = ["lock_of"]


def lock_of(facts: PackageFacts, folder: Path) -> Lock | None:
    """The lock for this Python and this machine of the package whose folder `UID/` is given, if it has one."""
    if not (folder / LOCKS).is_dir():
        return None
    try:
        platform = Platform.of_machine()
    except DependencyProblem:  # which nothing can be locked for, and so the locks are for others
        return None
    texts = {file.name: file.read_text("utf-8") for file in (folder / LOCKS).glob("*.txt")}
    python = "{}.{}".format(*sys.version_info[:2])
    return Lock.among(texts, python, platform, facts.requirements())
