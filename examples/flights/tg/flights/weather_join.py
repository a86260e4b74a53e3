"""The weather at the airport of origin, in the hour of the scheduled departure."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .source import Source


@dataclass(frozen=True)
class WeatherJoin:
    """Joins by origin and UTC hour, and calls the weather bad when it is wet, misty or windy.

    Not by year, month, day and hour: on the night when summer time ends, one o'clock is there twice, and each
    flight of that hour would be two rows. 1,556 flights have no weather; theirs stays missing, bad or not.
    """

    poor_visibility_miles: float = 3  # below it pilots fly by instruments (14 CFR 91.155)
    strong_wind_mph: float = 25
    impossible_wind_mph: float = 200  # one hour at Newark says 1,048

    def apply(self, flights: pd.DataFrame, source: Source) -> pd.DataFrame:
        weather = source.read("weather")
        wind = weather["wind_speed"].mask(weather["wind_speed"] > self.impossible_wind_mph)
        bad = (weather["precip"] > 0) | (weather["visib"] < self.poor_visibility_miles) | (wind >= self.strong_wind_mph)
        weather = pd.DataFrame(
            {
                "origin": weather["origin"],
                "time_hour": weather["time_hour"],
                "temperature_f": weather["temp"],
                "wind_mph": wind,
                "precipitation_inches": weather["precip"],
                "visibility_miles": weather["visib"],
                "bad_weather": bad.astype("boolean"),
            }
        )
        return flights.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")
