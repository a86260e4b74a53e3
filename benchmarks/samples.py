"""Samples: each in a fresh process, floor and delivery in turns so that both have the same noise, medians of several."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
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

    @property
    def reached(self) -> bool | None:
        return None if self.reach is None else self.value <= self.reach


def sample(
    *arguments: str, path: list[Path] | None = None, home: Path | None = None, python: str = sys.executable
) -> dict[str, Any]:
    """Run `python ARGUMENTS` in a fresh process; the JSON it prints, and its wall time as `whole`.

    Bytecode is written, as it is for users, whatever this process was told.
    """
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "TG_HOME")
    }
    environment["PYTHONPATH"] = os.pathsep.join(map(str, [*(path or []), REPOSITORY]))
    if home is not None:
        environment["TG_HOME"] = str(home)
    started = time.perf_counter()
    done = subprocess.run([python, *arguments], env=environment, capture_output=True, text=True, check=False)
    whole = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    printed = done.stdout.strip().splitlines()
    return {**(json.loads(printed[-1]) if printed else {}), "whole": whole}


def calls(taken: dict[str, Any]) -> float:
    """The seconds that making, installing and loading took, without the start of the process."""
    return float(taken["make"] + taken["install"] + taken["load"])


def median_ratio(pairs: list[tuple[float, float]]) -> tuple[float, str]:
    """The median of the ratios of pairs that were measured side by side, and their range in words."""
    ratios = sorted(ours / floor for ours, floor in pairs)
    middle = f"{statistics.median(pair[0] for pair in pairs):.3f} s over {statistics.median(pair[1] for pair in pairs):.3f} s"
    return statistics.median(ratios), f"{middle}; ratios {ratios[0]:.2f} to {ratios[-1]:.2f}"
