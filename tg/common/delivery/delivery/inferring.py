"""Dependencies found: what the closure imports and the payload's pickles name, as the distributions installed here.

Nothing is run or imported for it. An import that the code goes on without (in a `try` that catches the ImportError, for
type checkers only) is no dependency; what only modules outside of the closure import is none either.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata

from .closure import Closure, OutsideImport
from .installed_distributions import distributions_by_module
from .origins import distribution_names

__all__ = ["Inferred", "infer_dependencies"]


@dataclass(frozen=True)
class Inferred:
    """Requirements with exact versions, sorted; what could not be found; and what was left out, for a reason to be told."""

    requirements: tuple[str, ...]
    problems: tuple[str, ...]
    left_out: tuple[str, ...]


def infer_dependencies(closure: Closure, pickled: Iterable[tuple[str, str]], declared: Sequence[str]) -> Inferred:
    """What has to be installed besides the `declared` requirements.

    `pickled` are modules that resources name, each with the resource's name.
    """
    imports = [*closure.outside, *(OutsideImport(module, f"payload[{key!r}]", False) for module, key in pickled)]
    installed = _Installed()
    have = distribution_names(declared)
    found: dict[str, str] = {}
    problems: list[str] = []
    optional: dict[str, str] = {}
    for one in imports:
        top = one.module.partition(".")[0]
        if top in sys.stdlib_module_names or top in ("__main__", "__mp_main__"):
            continue
        names = installed.that_have(one.module)
        if one.optional:
            if names and not distribution_names(names) & have:
                optional.setdefault(names[0], f"{one.place} imports {one.module}, and goes on without it.")
            continue
        if not names:
            problems.append(
                f"{one.place} imports {one.module}, which is neither Python's own, nor delivered, nor installed here. Install it, "
                f"add {top!r} to roots, or catch the ImportError if it can do without."
            )
        for name in names:
            if distribution_names([name]) & have:
                continue
            if (place := installed.folder_of(name)) is not None:
                problems.append(
                    f"{one.place} imports {one.module} of {name}, which is installed from {place} and so from nowhere else. Add "
                    f"{top!r} to roots, or declare a requirement that can be installed."
                )
            else:
                found[name] = f"{name}=={metadata.version(name)}"
    left_out = tuple(text for name, text in sorted(optional.items()) if name not in found)
    return Inferred(tuple(found[name] for name in sorted(found)), tuple(dict.fromkeys(problems)), left_out)


class _Installed:
    """The distributions that are installed here, by the modules they brought."""

    def __init__(self) -> None:
        self._by_top = distributions_by_module()

    def that_have(self, module: str) -> list[str]:
        """Those that brought a module; where several share a namespace, those with the longest part of it."""
        names = sorted(set(self._by_top.get(module.partition(".")[0], ())))
        parts = module.split(".")
        while len(names) > 1 and len(parts) > 1:
            place = "/".join(parts)
            having = [name for name in names if self._has(name, place)]
            if having:
                return having
            parts.pop()
        return names

    @staticmethod
    def _has(name: str, place: str) -> bool:
        files = map(str, metadata.files(name) or ())
        return any(file.startswith((f"{place}/", f"{place}.")) for file in files)

    @staticmethod
    def folder_of(name: str) -> str | None:
        """The folder that a distribution was installed from (PEP 610); `None` when it is from an index."""
        text = metadata.distribution(name).read_text("direct_url.json")
        try:
            url = str(json.loads(text)["url"]) if text else ""
        except (ValueError, KeyError, TypeError):
            return None
        return url.removeprefix("file://") if url.startswith("file:") else None
