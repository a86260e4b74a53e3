"""The requests that a worker has been given and has not answered: what a pool chooses workers and keeps time by."""

from __future__ import annotations

import asyncio
import itertools

from .frames import Frame

__all__ = ["UnderWay"]

_FIRST_SECONDS = 0.002
"""A worker that has not answered yet is taken for one that gets a single request ahead."""
_NEW_SHARE = 0.1


class UnderWay:
    """Of one worker, which answers in the order in which it was asked."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._answers: dict[int, tuple[asyncio.Future[Frame], float]] = {}
        self._answered_at = 0.0
        self.seconds = _FIRST_SECONDS
        """What an answer takes the worker, about: a mean in which the last ones count most."""

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def busy_since(self) -> float | None:
        """When the worker began with the request that it is at, by the loop's clock; `None` when it has none."""
        oldest = next(iter(self._answers.values()), None)
        return None if oldest is None else max(oldest[1], self._answered_at)

    def add(self, answer: asyncio.Future[Frame]) -> int:
        """The number of one more request, which its answer will have."""
        number = next(self._numbers) & 0xFFFFFFFF
        self._answers[number] = answer, self._loop.time()
        return number

    def answered(self, frame: Frame) -> None:
        """Give an answer to who waits for it. Raises `KeyError` for one that nobody has asked for."""
        future, asked_at = self._answers.pop(frame.number)
        now = self._loop.time()
        self.seconds += _NEW_SHARE * (now - max(asked_at, self._answered_at) - self.seconds)
        self._answered_at = now
        if not future.done():
            future.set_result(frame)

    def fail_oldest(self, error: Exception) -> None:
        """Raise an error for the request that the worker is at."""
        future, _ = next(iter(self._answers.values()), (None, 0.0))
        if future is not None and not future.done():
            future.set_exception(error)

    def fail_all(self, error: Exception) -> None:
        """Raise an error for each request: the worker is gone."""
        for future, _ in self._answers.values():
            if not future.done():
                future.set_exception(error)
        self._answers.clear()
