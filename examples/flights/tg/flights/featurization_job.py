"""The job: a source, the steps that make its flights into features, and the sinks that keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..common import Logger
from .result import FeaturizationResult
from .sink import Sink
from .source import Source
from .step import Step


@dataclass
class FeaturizationJob:
    """Reads the flights, takes each step, writes to each sink.

    `output` is the folder to write to; a relative one lies in the folder where the job runs, not where it was made.
    """

    source: Source
    steps: Sequence[Step]
    sinks: Sequence[Sink]
    output: str | Path = "flights-output"

    def run(self) -> FeaturizationResult:
        flights = self.source.read("flights")
        Logger.info(f"{len(flights):,} flights, {len(self.steps)} steps")
        for step in self.steps:
            flights = step.apply(flights, self.source)

        folder = Path.cwd() / self.output
        folder.mkdir(parents=True, exist_ok=True)
        files = [file for sink in self.sinks for file in sink.write(flights, folder)]
        Logger.info(f"{len(flights.columns)} columns; {', '.join(file.name for file in files)}")
        return FeaturizationResult.of(flights, files)
