"""When a flight was meant to leave."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .source import Source


@dataclass(frozen=True)
class Schedule:
    """The scheduled departure as one moment, and the parts of it that delays depend on.

    The table writes times as numbers like 517, and midnight as 2400 (29 departures, 150 arrivals), which no clock
    knows. So the moment is built from `time_hour`, which is in UTC and has no such hour, nor one that is there twice
    when summer time ends. What really happened is this moment and the delay.
    """

    def apply(self, flights: pd.DataFrame, source: Source) -> pd.DataFrame:
        hour = pd.to_datetime(flights["time_hour"], utc=True)
        scheduled = (hour + pd.to_timedelta(flights["minute"], unit="min")).dt.tz_convert("America/New_York")
        return flights.assign(
            scheduled_departure=scheduled,
            month=scheduled.dt.month,
            weekday=scheduled.dt.day_name(),
            hour=scheduled.dt.hour,
        )
