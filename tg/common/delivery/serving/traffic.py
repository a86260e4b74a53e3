"""Traffic: which versions of a name answer its requests. A value; changing it is putting another in its place."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping

import msgspec

__all__ = ["Traffic"]

_BUCKETS = 1 << 32


class Traffic(msgspec.Struct, frozen=True):
    """`weights` of versions, each at least 1; `shadow` is asked as well, and its answers are compared and never returned."""

    weights: Mapping[str, int] = {}
    shadow: str | None = None

    @classmethod
    def all_to(cls, version: str) -> Traffic:
        """One live version."""
        return cls({version: 100})

    @property
    def versions(self) -> frozenset[str]:
        """All that must be ready for it."""
        return frozenset(self.weights) | ({self.shadow} if self.shadow else frozenset())

    @property
    def live(self) -> str | None:
        """The version that answers most; `None` when there is none."""
        return max(self.weights, key=lambda version: self.weights[version], default=None)

    def choose(self, key: str = "") -> str | None:
        """The version for one request. Requests with the same key get the same one, as long as the weights stay."""
        if len(self.weights) <= 1:
            return next(iter(self.weights), None)
        point = zlib.crc32(key.encode()) / _BUCKETS if key else random.random()
        point *= sum(self.weights.values())
        for version, weight in self.weights.items():
            point -= weight
            if point < 0:
                return version
        return next(reversed(list(self.weights)))
