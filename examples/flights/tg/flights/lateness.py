"""Which flights are late."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .source import Source


@dataclass(frozen=True)
class Lateness:
    """`late`: from so many minutes on. 15 is how the U.S. Department of Transportation counts."""

    from_minutes: int = 15

    def apply(self, flights: pd.DataFrame, source: Source) -> pd.DataFrame:
        late = flights["dep_delay"] >= self.from_minutes
        return flights.assign(late=late)
