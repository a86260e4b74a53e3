"""The rows as parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class ParquetSink:
    """One file for each partition, in a folder that pandas reads as one: `pandas.read_parquet("flights-output/rows")`."""

    folder_name: str = "rows"

    def write(self, flights: pd.DataFrame, folder: Path) -> list[Path]:
        rows = folder / self.folder_name
        rows.mkdir(exist_ok=True)
        files = []
        for partition, part in flights.groupby("partition", observed=True):
            files.append(rows / f"{partition}.parquet")
            part.to_parquet(files[-1], engine="pyarrow", index=False)
        return files
