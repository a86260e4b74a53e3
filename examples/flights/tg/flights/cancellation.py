"""Flights that did not go as planned at all."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .source import Source


@dataclass(frozen=True)
class Cancellation:
    """`cancelled` never left, `diverted` left and did not come to its destination on the planned flight.

    The table says neither: a cancelled flight has no time of departure, a diverted one no delay of arrival.
    """

    def apply(self, flights: pd.DataFrame, source: Source) -> pd.DataFrame:
        cancelled = flights["dep_time"].isna()
        return flights.assign(cancelled=cancelled, diverted=~cancelled & flights["arr_delay"].isna())
