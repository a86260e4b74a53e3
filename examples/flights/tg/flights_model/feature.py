"""One thing of a flight that a model looks at."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """An attribute of a flight; with `edges` a number, of which matters between which of them it lies."""

    name: str
    edges: tuple[float, ...] = ()

    def level(self, value: object) -> str:
        """Which of its levels a value is; one for those that are missing."""
        if value is None or value != value:
            return "unknown"
        return str(bisect_right(self.edges, float(value)) if self.edges else value)  # type: ignore[arg-type]


TIME = (Feature("hour"), Feature("month"), Feature("weekday"))
ROUTE = (Feature("origin"), Feature("destination"), Feature("carrier"))
WEATHER = (
    Feature("temperature_f", (20, 32, 45, 60, 75, 85)),
    Feature("wind_mph", (5, 10, 15, 20, 25, 30)),
    Feature("precipitation_inches", (0.001, 0.02, 0.1)),
    Feature("visibility_miles", (1, 3, 6, 9.9)),
)
