"""Where the finished rows go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd


class Sink(Protocol):
    """Writes something made of the rows into a folder, and says which files."""

    def write(self, flights: pd.DataFrame, folder: Path) -> Sequence[Path]: ...
