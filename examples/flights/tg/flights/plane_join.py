"""The plane that flew."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .source import Source


@dataclass(frozen=True)
class PlaneJoin:
    """Age and seats of the plane, by its tail number.

    One flight in six has a plane of unknown age: two carriers report fleet numbers for tail numbers, and 70 planes
    have no year. They get the median age of their carrier's flights, since a fleet is bought together, or else of
    all; `plane_age_known` tells the two apart. Seats stay missing: a guess would say more than is known.
    """

    def apply(self, flights: pd.DataFrame, source: Source) -> pd.DataFrame:
        planes = source.read("planes")[["tailnum", "year", "seats"]].rename(columns={"year": "built"})
        flights = flights.merge(planes, on="tailnum", how="left", validate="many_to_one")
        age = flights["year"] - flights["built"]
        typical = age.groupby(flights["carrier"]).transform("median").fillna(age.median())
        return flights.assign(plane_age_years=age.fillna(typical), plane_age_known=age.notna()).drop(columns="built")
