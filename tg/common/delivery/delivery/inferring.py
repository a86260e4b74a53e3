"""Dependencies found: what the closure imports and the payload's pickles name, as the distributions installed here.

Nothing is run or imported for it. An import that the code goes on without (in a `try` that catches the ImportError, for
type checkers or other systems only, see `imports.py`) is no dependency; what only modules outside of the closure import is none either.
What a root that is installed was installed without, it does without here as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..runtime.distributions import normalised
from .declared import names_wanted_here
from .uses import Use

__all__ = ["Inferred", "infer_dependencies"]


@dataclass(frozen=True)
class Inferred:
    """Requirements with exact versions, sorted; what could not be found; and what was left out, for a reason to be told."""

    requirements: tuple[str, ...]
    problems: tuple[str, ...]
    left_out: tuple[str, ...]


def infer_dependencies(uses: Iterable[Use], declared: Sequence[str]) -> Inferred:
    """What has to be installed besides the `declared` requirements."""
    have = names_wanted_here(declared)
    found: dict[str, str] = {}
    problems: dict[tuple[str, str], str] = {}
    optional: dict[str, str] = {}
    lacking: dict[str, str] = {}
    for use in uses:
        top = use.module.partition(".")[0]
        undeclared = [one for one in use.distributions if normalised(one.name) not in have]
        if use.optional:
            if use.distributions and len(undeclared) == len(use.distributions):
                optional.setdefault(undeclared[0].name, f"{use}, and goes on without it.")
            continue
        if not use.distributions and use.in_installed_code:
            lacking.setdefault(top, f"{use}, and is installed here without it.")
        elif not use.distributions:
            problems.setdefault(
                (use.place, top),
                f"{use}, which is neither Python's own, nor delivered, nor installed here. Install it, "
                f"add {top!r} to roots, or catch the ImportError if it can do without.",
            )
        for one in undeclared:
            if one.folder is not None:
                problems.setdefault(
                    (use.place, one.name),
                    f"{use} of {one.name}, which is installed from {one.folder} and so from nowhere else. Add "
                    f"{top!r} to roots, or declare a requirement that can be installed.",
                )
            else:
                found[one.name] = f"{one.name}=={one.version}"
    left_out = [text for name, text in sorted(optional.items()) if name not in found]
    left_out += [text for _, text in sorted(lacking.items())]
    return Inferred(tuple(found[name] for name in sorted(found)), tuple(problems.values()), tuple(left_out))
