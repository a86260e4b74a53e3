"""A flight, as those know it who ask whether it will be late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class Flight:
    """What is known before it leaves; the time is that of New York, the weather that of the hour of departure, if it is known."""

    origin: Literal["EWR", "JFK", "LGA"]
    destination: str
    carrier: str
    scheduled_departure: datetime
    temperature_f: float | None = None
    wind_mph: float | None = None
    precipitation_inches: float | None = None
    visibility_miles: float | None = None

    @property
    def month(self) -> int:
        return self.scheduled_departure.month

    @property
    def weekday(self) -> int:
        """0 is Monday."""
        return self.scheduled_departure.weekday()

    @property
    def hour(self) -> int:
        return self.scheduled_departure.hour
