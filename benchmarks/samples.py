"""Samples: each in a fresh process, floor and delivery in turns so that both have the same noise, medians of several."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Measure:
    """A figure and what it has to reach; `None` where it is only shown."""

    name: str
    value: float
    unit: str
    reach: float | None = None
    detail: str = ""
    whole: float | None = None
    """The same figure for whole processes: the start of Python and all imports are in it."""
    spread: str = ""
    samples: tuple[Any, ...] = ()

    @property
    def reached(self) -> bool | None:
        return None if self.reach is None else self.value <= self.reach

    def cells(self) -> dict[str, str]:
        """The columns of the table; one that is empty in all rows is left out of it."""
        return {
            "measure": self.name,
            "figure": f"{_digits(self.value)} {self.unit}",
            "reach": "" if self.reach is None else f"≤ {self.reach:g}",
            "": {True: "✓", False: "✗ missed", None: ""}[self.reached],
            "whole process": "" if self.whole is None else _digits(self.whole),
            "spread": self.spread,
            "how": self.detail,
        }


@dataclass(frozen=True)
class Observation:
    """What was seen, in words, column by column."""

    columns: dict[str, str]

    def cells(self) -> dict[str, str]:
        return self.columns


class SampleFailed(Exception):
    """A sample's process ended with an error; `reason` is the last line of it."""

    def __init__(self, command: str, stderr: str) -> None:
        super().__init__(f"{command} failed:\n{stderr}")
        self.reason = (stderr.strip().splitlines() or ["no message"])[-1]


def sample(
    *arguments: str,
    path: list[Path] | None = None,
    home: Path | None = None,
    python: str = sys.executable,
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Run `python ARGUMENTS` in a fresh process; the JSON it prints, and its wall time as `whole`.

    Bytecode is written, as it is for users, whatever this process was told. `environment` is set besides what is set
    here. Raises `SampleFailed`.
    """
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "TG_HOME")}
    environment = {**kept, **(environment or {})}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [*(path or []), REPOSITORY]))
    if home is not None:
        environment["TG_HOME"] = str(home)
    started = time.perf_counter()
    done = subprocess.run([python, *arguments], env=environment, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - started
    if done.returncode != 0:
        raise SampleFailed(" ".join(arguments), done.stderr)
    printed = done.stdout.strip().splitlines()
    return {**(json.loads(printed[-1]) if printed else {}), "whole": whole}


def calls(taken: dict[str, Any]) -> float:
    """The seconds that making, installing and loading took, without the start of the process."""
    return float(taken["make"] + taken["install"] + taken["load"])


def ratio_measure(
    name: str,
    floor: str,
    reach: float | None,
    pairs: list[tuple[float, float]],
    *,
    whole: list[tuple[float, float]] | None = None,
    detail: str = "",
) -> Measure:
    """The median of ours over the median of the floor; the spread is that of pairs that were taken side by side."""
    ratios = sorted(ours / bare for ours, bare in pairs)
    ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Measure(
        name=name,
        value=_ratio(pairs),
        unit=f"x {floor}",
        reach=reach,
        detail=f"{ours:.3f} s over {bare:.3f} s{detail}",
        whole=_ratio(whole) if whole else None,
        spread=f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        samples=tuple(pairs),
    )


def median_measure(name: str, unit: str, values: list[float], reach: float | None = None, detail: str = "") -> Measure:
    """The median; the spread is the lowest and the highest."""
    spread = f"{_digits(min(values))} to {_digits(max(values))}"
    return Measure(name, statistics.median(values), unit, reach, detail, None, spread, tuple(values))


def in_turns(number: int, ours: Callable[[], Any], floor: Callable[[], Any]) -> tuple[Any, Any]:
    """Both, in an order that changes from round to round, so that neither always finds what the other has left."""
    if number % 2:
        taken = ours()
        return taken, floor()
    bare = floor()
    return ours(), bare


def _ratio(pairs: list[tuple[float, float]]) -> float:
    ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    return ours / bare


def _digits(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
