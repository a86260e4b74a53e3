"""Trains the model by a delivered job, and packages what comes of it for a server.

    python train.py VERSION FOLDER [time] [route] [weather]

Prints where the package is, and beside it leaves `questions.json`: flights that it has not learned from, and what came of
them, and how well the model does on all of those. Run it in this folder, so that `tg/` is found.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tg.flights import (
    Cancellation,
    Columns,
    DestinationJoin,
    Lateness,
    NycFlights13Source,
    Partition,
    PlaneJoin,
    Schedule,
    TrainingJob,
    WeatherJoin,
)
from tg.flights_model import ROUTE, TIME, WEATHER

from tg.common.delivery.delivery import DependencyList, Packaging
from tg.common.delivery.execution import AttachedExecutor

FEATURES = {"time": TIME, "route": ROUTE, "weather": WEATHER}


def main(version: str, folder: str, *features: str) -> None:
    job = TrainingJob(
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
        features=sum((FEATURES[name] for name in features or FEATURES), ()),
    )
    requirements = Path(__file__).with_name("requirements.txt").read_text().split()
    training = Packaging(name="flights_training", payload={"job": job})
    training.dependencies = (*training.dependencies, DependencyList("training", requirements))
    training.silent = True
    trained = AttachedExecutor().start(training).result()

    delivery = Packaging(
        name="flights_model", version=version, payload={"job": trained.model, "samples": trained.samples}
    )
    delivery.silent = True
    delivery.make_package(folder)
    told = {"log_loss": trained.log_loss, "log_loss_of_the_mean": trained.log_loss_of_the_mean}
    questions = [
        {**sample["arguments"], "late": late} for sample, late in zip(trained.samples, trained.late, strict=True)
    ]
    Path(folder, "questions.json").write_text(json.dumps({**told, "questions": questions}, default=str))
    print(delivery.package_location)


if __name__ == "__main__":
    main(*sys.argv[1:])
