"""The Pythons that a package is for: what a specifier such as `>=3.10,<3.13` names (PEP 440, releases only).

`packaging` knows all of PEP 440; here is what packages say, so that it need not be imported to list what is installed.
"""

from __future__ import annotations

import re
import sys

__all__ = ["check_requires_python", "lowest_python", "python_satisfies", "release"]

_CLAUSE = re.compile(
    r"\s*(?:(?P<order>>=|<=|<|>)\s*(?P<bound>[0-9]+(?:\.[0-9]+)*)"
    r"|(?P<equality>==|!=)\s*(?P<value>[0-9]+(?:\.[0-9]+)*)(?P<wildcard>\.\*)?"
    r"|~=\s*(?P<compatible>[0-9]+(?:\.[0-9]+)+))\s*",
    re.ASCII,
)


def check_requires_python(specifier: str) -> None:
    """Raise `ValueError` unless this is a specifier of releases, such as `>=3.10,<3.13`."""
    for clause in specifier.split(","):
        if not _CLAUSE.fullmatch(clause):
            raise ValueError(f"{clause.strip()!r} is not a version specifier such as '>=3.10'")


def python_satisfies(specifier: str, python: str | None = None) -> bool:
    """Whether a Python (`3.11`, the one that runs by default) is one that a specifier (PEP 440, releases only) names."""
    check_requires_python(specifier)
    running = tuple(sys.version_info[:3]) if python is None else release(python)
    return all(_holds(match, running) for clause in specifier.split(",") if (match := _CLAUSE.fullmatch(clause)))


def lowest_python(specifier: str) -> tuple[int, ...]:
    """The oldest Python, as numbers, that a specifier may name; 3.10 where it names no bound, since delivery needs that."""
    bounds: list[tuple[int, ...]] = [(3, 10)]
    for clause in specifier.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is not None and (match["order"] in (">=", ">") or match["compatible"] or match["equality"] == "=="):
            bounds.append(release(match["bound"] or match["compatible"] or match["value"])[:2])
    return max(bounds)


def release(version: str) -> tuple[int, ...]:
    """`3.10` as numbers, which compare."""
    return tuple(map(int, version.split(".")))


def _holds(clause: re.Match[str], running: tuple[int, ...]) -> bool:
    if clause["compatible"]:
        wanted = release(clause["compatible"])
        return _padded(running) >= _padded(wanted) and running[: len(wanted) - 1] == wanted[:-1][:3]
    if clause["equality"]:
        wanted = release(clause["value"])
        begins = _padded(running)[: len(wanted)] == wanted
        same = begins if clause["wildcard"] else _padded(running) == _padded(wanted)
        return same == (clause["equality"] == "==")
    ours, bound = _padded(running), _padded(release(clause["bound"]))
    return {">=": ours >= bound, "<=": ours <= bound, ">": ours > bound, "<": ours < bound}[clause["order"]]


def _padded(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Missing parts are zeros (PEP 440); no release of Python has more than three."""
    return numbers + (0,) * (12 - len(numbers))
