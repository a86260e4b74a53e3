"""What a model may learn from, and what it is tested with."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .source import Source


@dataclass(frozen=True)
class Partition:
    """`train` and `test`, cut by time: flights of one day share its weather, so chance would put the answers in both."""

    test_from_month: int = 11

    def apply(self, flights: pd.DataFrame, source: Source) -> pd.DataFrame:
        later = flights["month"] >= self.test_from_month
        return flights.assign(partition=later.map({False: "train", True: "test"}))
