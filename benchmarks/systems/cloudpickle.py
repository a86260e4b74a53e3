"""cloudpickle: the job's module and those it refers to are pickled by value."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cloudpickle


def build(value: Any, folder: Path, tree: Path) -> None:
    if "tg.bench" in sys.modules:
        cloudpickle.register_pickle_by_value(sys.modules["tg.bench"])
    with (folder / "payload.pickle").open("wb") as file:
        cloudpickle.dump(value, file, protocol=5)


def load(folder: Path) -> Any:
    with (folder / "payload.pickle").open("rb") as file:
        return cloudpickle.load(file)
