"""The job that trains the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..common import Logger
from ..flights_model import Feature, Flight, LatenessModel
from .source import Source
from .step import Step

_WEATHER = ("temperature_f", "wind_mph", "precipitation_inches", "visibility_miles")
_ROUNDS = 60
_PENALTY = 5.0
"""As if each level had been seen five times more, and had meant nothing: rare destinations are not taken at their word."""


@dataclass(frozen=True)
class TrainingResult:
    """The model; its log loss on flights that it has not seen, and that of always saying how many are late; some of those flights.

    `samples` are for the server: requests, with the answers that the model gives. `late` says what came of them.
    """

    model: LatenessModel
    log_loss: float
    log_loss_of_the_mean: float
    samples: list[dict[str, Any]]
    late: list[bool]


@dataclass
class TrainingJob:
    """Makes rows of the flights, and fits the weights of the features to those of the partition `train`."""

    source: Source
    steps: Sequence[Step]
    features: tuple[Feature, ...]
    samples: int = 300

    def run(self) -> TrainingResult:
        flights = self.source.read("flights")
        for step in self.steps:
            flights = step.apply(flights, self.source)
        flights = flights[~flights["cancelled"]]
        flights = flights.assign(weekday=flights["scheduled_departure"].dt.weekday)
        train, test = (flights[flights["partition"] == name] for name in ("train", "test"))
        Logger.info(
            f"{len(train):,} flights to learn from, {len(test):,} to be tested with, {len(self.features)} features"
        )

        model = self._fit(train)
        chosen = test.sample(self.samples, random_state=1)
        asked = [_flight(row) for row in chosen.to_dict("records")]
        result = TrainingResult(
            model=model,
            log_loss=_log_loss(_predicted(model, test), test["late"]),
            log_loss_of_the_mean=_log_loss(np.full(len(test), train["late"].mean()), test["late"]),
            samples=[{"arguments": {"flight": asdict(one)}, "answer": asdict(model.run(one))} for one in asked],
            late=chosen["late"].tolist(),
        )
        Logger.info(f"log loss {result.log_loss:.4f}, of the mean {result.log_loss_of_the_mean:.4f}")
        return result

    def _fit(self, train: pd.DataFrame) -> LatenessModel:
        """Newton's method with the diagonal alone, each step divided among the features."""
        late = train["late"].to_numpy(float)
        codes, levels = zip(*(pd.factorize(_levels(feature, train)) for feature in self.features), strict=True)
        intercept = float(np.log(late.mean() / (1 - late.mean())))
        weights = [np.zeros(len(one)) for one in levels]
        for _ in range(_ROUNDS):
            score = intercept + sum(weight[code] for weight, code in zip(weights, codes, strict=True))
            likely = 1 / (1 + np.exp(-score))
            for weight, code in zip(weights, codes, strict=True):
                slope = np.bincount(code, late - likely, len(weight)) - _PENALTY * weight
                curve = np.bincount(code, likely * (1 - likely), len(weight)) + _PENALTY
                weight += slope / curve / len(weights)
        by_feature = {
            feature.name: {str(level): float(value) for level, value in zip(names, weight, strict=True)}
            for feature, names, weight in zip(self.features, levels, weights, strict=True)
        }
        return LatenessModel(self.features, intercept, by_feature)


def _levels(feature: Feature, flights: pd.DataFrame) -> pd.Series:
    """The level of each flight; each value is looked at once."""
    values = flights[feature.name].astype(object)
    known = {value: feature.level(value) for value in values.dropna().unique()}
    return values.map(known).fillna(feature.level(None))


def _predicted(model: LatenessModel, flights: pd.DataFrame) -> np.ndarray:
    score = np.full(len(flights), model.intercept)
    for feature in model.features:
        score += _levels(feature, flights).map(model.weights[feature.name]).fillna(0.0).to_numpy(float)
    return 1 / (1 + np.exp(-score))


def _log_loss(likely: np.ndarray, late: pd.Series) -> float:
    return float(-np.mean(np.log(np.where(late, likely, 1 - likely))))


def _flight(row: dict[str, Any]) -> Flight:
    known = {name: None if pd.isna(row[name]) else round(float(row[name]), 2) for name in _WEATHER}
    time = row["scheduled_departure"].tz_localize(None).to_pydatetime()
    return Flight(str(row["origin"]), str(row["destination"]), str(row["carrier"]), time, **known)
