"""Where the flight went."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .source import Source


@dataclass(frozen=True)
class DestinationJoin:
    """Latitude, longitude and altitude of the destination.

    The table of airports ends at the coast: three airports of Puerto Rico and one of the Virgin Islands are not in
    it, and the place of their 7,602 flights stays missing. The distance is known for all.
    """

    def apply(self, flights: pd.DataFrame, source: Source) -> pd.DataFrame:
        airports = source.read("airports").rename(
            columns={
                "faa": "dest",
                "lat": "destination_latitude",
                "lon": "destination_longitude",
                "alt": "destination_altitude_feet",
            }
        )
        wanted = ["dest", "destination_latitude", "destination_longitude", "destination_altitude_feet"]
        return flights.merge(airports[wanted], on="dest", how="left", validate="many_to_one")
