"""What a run comes to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class FeaturizationResult:
    """The numbers two runs are compared by, and their files, by their names in the folder where it ran.

    `digest` is equal when all files are.
    """

    rows: int
    columns: tuple[str, ...]
    cancelled: int
    late_share: float
    late_share_fair_weather: float
    late_share_bad_weather: float
    files: tuple[Path, ...]
    digest: str

    @classmethod
    def of(cls, flights: pd.DataFrame, files: Sequence[Path]) -> FeaturizationResult:
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.read_bytes())
        by_weather = flights.groupby("bad_weather")["late"].mean()
        return cls(
            rows=len(flights),
            columns=tuple(flights.columns),
            cancelled=int(flights["cancelled"].sum()),
            late_share=float(flights["late"].mean()),
            late_share_fair_weather=float(by_weather[False]),
            late_share_bad_weather=float(by_weather[True]),
            files=tuple(file.relative_to(Path.cwd()) for file in files),
            digest=digest.hexdigest(),
        )
