"""Where tables come from."""

from __future__ import annotations

from typing import Protocol

import pandas as pd


class Source(Protocol):
    """Something that has tables, by name."""

    def read(self, table: str) -> pd.DataFrame: ...
