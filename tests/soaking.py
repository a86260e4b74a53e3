"""How often a fault is injected: a little in every run of the tests, all of it in `make soak`."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass
class Soak:
    """How often to do it, with what random numbers, and what to tell of it."""

    is_long: bool
    seed: int
    told: list[str] = field(default_factory=list)

    def times(self, short: int, long: int) -> int:
        return long if self.is_long else short

    def random(self) -> random.Random:
        return random.Random(self.seed)

    def tell(self, text: str) -> None:
        self.told.append(text)
