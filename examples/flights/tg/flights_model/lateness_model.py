"""The model: how likely a flight is late."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .feature import Feature
from .flight import Flight


@dataclass(frozen=True)
class Prediction:
    """The probability that a flight leaves late; and what of it says so most, in log-odds."""

    late: float
    reasons: dict[str, float]


@dataclass(frozen=True)
class LatenessModel:
    """A logistic regression: each level of each feature adds its weight. It is the job that is served."""

    features: tuple[Feature, ...]
    intercept: float
    weights: Mapping[str, Mapping[str, float]]

    def run(self, flight: Flight) -> Prediction:
        """Say how likely a flight from New York is to leave 15 minutes late, or more.

        What the version that answers does not look at may be left out.
        """
        reasons = {}
        for feature in self.features:
            level = feature.level(getattr(flight, feature.name))
            reasons[feature.name] = self.weights[feature.name].get(level, 0.0)
        late = 1 / (1 + math.exp(-self.intercept - sum(reasons.values())))
        most = sorted(reasons, key=lambda name: -abs(reasons[name]))[:3]
        return Prediction(round(late, 6), {name: round(reasons[name], 3) for name in most})
