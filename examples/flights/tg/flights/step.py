"""One step of making features."""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from .source import Source


class Step(Protocol):
    """Takes flights and gives flights, as many and in the same order; may read another table to do so."""

    def apply(self, flights: pd.DataFrame, source: Source) -> pd.DataFrame: ...
