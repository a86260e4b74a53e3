"""What a user writes to deliver: compose the job, and package it under a version.

    python deliver.py 1.0.0 [FOLDER]

Prints where the package is. Run it in this folder, so that `tg/` is found.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tg.flights import (
    Cancellation,
    Columns,
    DestinationJoin,
    FeaturizationJob,
    Lateness,
    NycFlights13Source,
    ParquetSink,
    Partition,
    PictureSink,
    PlaneJoin,
    Schedule,
    SimpleFeaturizationJob,
    WeatherJoin,
)

from tg.common.delivery.delivery import DependencyList, Packaging


def main(version: str, destination: str | None = None) -> None:
    job = FeaturizationJob(
        source=NycFlights13Source(),
        steps=[
            Schedule(),
            WeatherJoin(),
            PlaneJoin(),
            DestinationJoin(),
            Cancellation(),
            Lateness(from_minutes=15),
            Partition(test_from_month=11),
            Columns(),
        ],
        sinks=[ParquetSink(), PictureSink()],
        output=f"flights-output/{version}",
    )
    simple_job = SimpleFeaturizationJob(output=f"flights-output/{version}-simple")

    packaging = Packaging(name="flights", version=version, payload={"job": job, "simple_job": simple_job})
    requirements = Path(__file__).with_name("requirements.txt").read_text().split()
    packaging.dependencies = (*packaging.dependencies, DependencyList("flights", requirements))
    packaging.silent = True
    packaging.make_package(destination)
    print(packaging.package_location)


if __name__ == "__main__":
    main(*sys.argv[1:])
