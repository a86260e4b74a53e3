"""Which installed distribution brought a top-level module. `importlib.metadata` tells it in full only since Python 3.11."""

from __future__ import annotations

import inspect
from importlib import metadata

__all__ = ["distributions_by_module"]


def distributions_by_module() -> dict[str, list[str]]:
    """The names of distributions by the top-level modules that they brought; a namespace has several."""
    found: dict[str, set[str]] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # what was left half removed has none
            for top in _tops(distribution):
                found.setdefault(top, set()).add(name)
    return {top: sorted(names) for top, names in found.items()}


def _tops(distribution: metadata.Distribution) -> set[str]:
    declared = (distribution.read_text("top_level.txt") or "").split()
    if declared:
        return set(declared)
    tops = set()
    for file in distribution.files or ():
        top = file.parts[0] if len(file.parts) > 1 else inspect.getmodulename(file.name)
        if top and top.isidentifier():
            tops.add(top)
    return tops
