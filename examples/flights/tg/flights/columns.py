"""The columns of the finished rows."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .source import Source

_RENAMED = {
    "flight": "flight_number",
    "tailnum": "tail_number",
    "dest": "destination",
    "distance": "distance_miles",
    "dep_delay": "departure_delay_minutes",
    "arr_delay": "arrival_delay_minutes",
}

_TYPES = {
    # which flight
    "carrier": "category",
    "flight_number": "int16",
    "tail_number": "category",
    # what was known before
    "origin": "category",
    "destination": "category",
    "destination_latitude": "float32",
    "destination_longitude": "float32",
    "destination_altitude_feet": "Int16",
    "distance_miles": "int16",
    "scheduled_departure": "datetime64[s, America/New_York]",
    "month": "int8",
    "weekday": "category",
    "hour": "int8",
    "plane_age_years": "float32",
    "plane_age_known": "bool",
    "seats": "Int16",
    "temperature_f": "float32",
    "wind_mph": "float32",
    "precipitation_inches": "float32",
    "visibility_miles": "float32",
    "bad_weather": "boolean",
    # what came of it
    "cancelled": "bool",
    "diverted": "bool",
    "departure_delay_minutes": "float32",
    "arrival_delay_minutes": "float32",
    "late": "bool",
    # how to use it
    "partition": "category",
}


@dataclass(frozen=True)
class Columns:
    """Keeps these columns, in this order, each with a name that has its unit and a type that says what may be missing."""

    def apply(self, flights: pd.DataFrame, source: Source) -> pd.DataFrame:
        return flights.rename(columns=_RENAMED)[list(_TYPES)].astype(_TYPES)
