"""Batches: how items are put together into tasks, and how many of these are under way.

1. Items are taken from where they come from only when there is room for them: what is under way, and what has come back and is not
   yet taken, is bounded. So a map over any number of items needs the memory of some hundred batches.
2. Without a size that is given, batches grow from one item on until one takes a tenth of a second: that is much more than a
   task costs, and short enough that a lost one costs little.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..runtime.running import failure_of

__all__ = ["Batch", "Batches"]

_LONG_ENOUGH_SECONDS = 0.1
_MOST_ITEMS = 4096
_MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Batch:
    """Items that are sent together: the index of each, a pickle of the list of them, and they themselves.

    Whoever comes back to a run that was detached has only the indices.
    """

    indices: Sequence[int]
    data: bytes = b""
    items: Sequence[Any] = ()

    def divided(self) -> list[Batch]:
        """Two halves of it."""
        middle = len(self.indices) // 2
        return [
            Batch(self.indices[part], pickle.dumps(self.items[part], protocol=5), self.items[part])
            for part in (slice(0, middle), slice(middle, None))
        ]


class Batches:
    """The batches of some items, one after the other, and what is wrong with items that cannot be sent."""

    def __init__(self, items: Iterable[Any], size: int | None) -> None:
        self._items: Iterator[Any] = iter(items)
        self._fixed = size is not None
        self.size = size or 1
        """How many items a batch has at the moment."""
        self._next = 0
        self.is_exhausted = False
        self.unsent: dict[int, dict[str, str]] = {}
        """The failures of items that cannot be pickled, by index."""

    def next(self) -> Batch | None:
        """The next one; nothing when there are no more items. Raises what taking the items raises."""
        while not self.is_exhausted:
            taken = list(islice(self._items, self.size))
            self.is_exhausted = len(taken) < self.size
            first, self._next = self._next, self._next + len(taken)
            batch = self._batch(range(first, self._next), taken)
            if batch.indices:
                return batch
        return None

    @property
    def taken(self) -> int:
        """How many items were taken."""
        return self._next

    def took(self, batch: Batch, seconds: float) -> None:
        """How long one took, from which the size of those that follow is chosen."""
        if self._fixed or len(batch.indices) < self.size:
            return
        if seconds < _LONG_ENOUGH_SECONDS / 2 and len(batch.data) < _MOST_BYTES // 2:
            self.size = min(_MOST_ITEMS, self.size * 2)
        elif seconds > 2 * _LONG_ENOUGH_SECONDS or len(batch.data) > _MOST_BYTES:
            self.size = max(1, self.size // 2)

    def _batch(self, indices: Sequence[int], items: list[Any]) -> Batch:
        try:
            return Batch(indices, pickle.dumps(items, protocol=5), items)
        except Exception:  # noqa: BLE001 which of them it is, is found below
            good = []
            for index, item in zip(indices, items, strict=True):
                try:
                    pickle.dumps(item, protocol=5)
                    good.append((index, item))
                except Exception as error:  # noqa: BLE001 whatever an item has against being pickled, it is told of that item
                    self.unsent[index] = failure_of(error)
            return Batch(
                [index for index, _ in good],
                pickle.dumps([item for _, item in good], protocol=5),
                [item for _, item in good],
            )
