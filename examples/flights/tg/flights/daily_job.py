"""The same features, a day at a time: what a cluster is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from ..common import Logger
from .source import Source
from .step import Step


@dataclass
class DailyJob:
    """Makes the flights of one day into features.

    `whole` are steps that look at all flights of the year, such as the typical age of a carrier's planes; they are taken once
    wherever the job is loaded, and the other steps once for each day. All days together are what one process makes of all flights.
    """

    source: Source
    whole: Sequence[Step]
    steps: Sequence[Step]
    _days: dict[date, pd.DataFrame] = field(default_factory=dict)
    _tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def run(self, day: date) -> pd.DataFrame:
        if not self._days:
            flights = self.read("flights")
            for step in self.whole:
                flights = step.apply(flights, self)
            days = pd.to_datetime(flights[["year", "month", "day"]]).dt.date
            self._days = dict(iter(flights.groupby(days)))
        flights = self._days[day]
        for step in self.steps:
            flights = step.apply(flights, self)
        Logger.info(f"{day}: {len(flights)} flights, {flights['late'].mean():.1%} late")
        return flights

    def read(self, table: str) -> pd.DataFrame:
        """A table, read once: this is the source of its own steps."""
        if table not in self._tables:
            self._tables[table] = self.source.read(table)
        return self._tables[table]
