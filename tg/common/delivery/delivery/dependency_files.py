"""What the declared dependencies of a package bring, with what they name as optional, and what these require in turn."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence

__all__ = ["DependencyFiles"]


class DependencyFiles:
    """The files of the declared dependencies as installed here, nearest first: looked for no further than somebody asks.

    What a declared one names as optional counts as well, unless it is told not to: pandas keeps text in pyarrow wherever that
    is installed.
    """

    def __init__(self, requirements: Sequence[str], *, with_optional: bool = True) -> None:
        self._with_optional = with_optional
        self.missing: list[str] = []
        self._requirements = requirements
        self._files: list[str] = []
        self._found: set[str] = set()
        self._further = self._looked_for()

    def have(self, module: str) -> bool:
        """Whether a module is in what the dependencies brought, or in a package or extension of theirs."""
        parts = module.split(".")
        places = ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
        pattern = re.compile(
            rf"^(?:{'|'.join(map(re.escape, places))})(?:/__init__)?\.(?:py|pyd|so|[\w.-]+\.(?:so|pyd))(?:,|$)",
            re.MULTILINE,
        )
        if module not in self._found and any(pattern.search(files) for files in self._each()):
            self._found.add(module)
        return module in self._found

    def _each(self) -> Iterator[str]:
        """For each distribution the paths of its files, a line each."""
        yield from self._files
        for files in self._further:
            self._files.append(files)
            yield files

    def _looked_for(self) -> Iterator[str]:
        from importlib import metadata  # only here, since it takes as long as making a package

        from .requirements import check_requirements

        seen = set()
        waiting = deque((one, frozenset[str](), True) for one in check_requirements(self._requirements))
        while waiting:
            requirement, extras, declared = waiting.popleft()
            wanted = (requirement.name, frozenset(requirement.extras), declared)
            if wanted in seen or not any(
                requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras or {""}
            ):
                continue
            seen.add(wanted)
            try:
                found = metadata.distribution(requirement.name)
            except metadata.PackageNotFoundError:
                self.missing += [requirement.name] if declared else []
                continue
            yield found.read_text("RECORD") or "\n".join(map(str, found.files or ()))
            everything = declared and self._with_optional
            optional = frozenset((found.metadata.get_all("Provides-Extra") or ()) if everything else requirement.extras)
            waiting.extend((one, optional, False) for one in check_requirements(found.requires or []))
