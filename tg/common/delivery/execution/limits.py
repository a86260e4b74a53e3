"""Limits: how much of processors, memory and time a run may take."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["Limits"]

_MEMORY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?:(?P<unit>[kmgt])(?:i?b)?|b)?", re.IGNORECASE)
_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


@dataclass(frozen=True)
class Limits:
    """What a run may take; `None` is no limit.

    - `cpus`: processors, `0.5` or `2`.
    - `memory`: bytes, or a text such as `512m` or `4g`, in powers of 1024, as docker takes it.
    - `time_seconds`: from the start of its process on.
    - `processes`: processes and threads at a time, of a container.
    - `disk`: what a container's working folder may hold, as `memory`.

    `str()` gives what is limited, for messages: `cpus 2, memory 4g`. Raises `TypeError` or `ValueError`.
    """

    cpus: float | None = None
    memory: str | int | None = None
    time_seconds: float | None = None
    processes: int | None = None
    disk: str | int | None = None

    def __post_init__(self) -> None:
        _check_number("cpus", self.cpus)
        _check_number("time_seconds", self.time_seconds)
        _check_number("processes", self.processes)
        for name in ("memory", "disk"):
            amount = _bytes(name, getattr(self, name))
            if amount is not None and amount < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is nothing. Say how much a run may take, for example '512m'."
                )

    def __str__(self) -> str:
        named = {
            "cpus": self.cpus,
            "memory": self.memory if not isinstance(self.memory, int) else f"{self.memory} bytes",
            "time": None if self.time_seconds is None else f"{self.time_seconds} s",
            "processes": self.processes,
            "disk": self.disk if not isinstance(self.disk, int) else f"{self.disk} bytes",
        }
        return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)

    @property
    def memory_bytes(self) -> int | None:
        """The memory in bytes."""
        return _bytes("memory", self.memory)

    @property
    def disk_bytes(self) -> int | None:
        """What the working folder may hold, in bytes."""
        return _bytes("disk", self.disk)


def _bytes(name: str, amount: str | int | None) -> int | None:
    if amount is None:
        return None
    if isinstance(amount, bool) or not isinstance(amount, (str, int)):
        raise TypeError(f"{name}={amount!r} is of {type(amount)}. Give bytes, or a text such as '4g'.")
    if isinstance(amount, int):
        return amount
    match = _MEMORY.fullmatch(amount.strip())
    if match is None:
        raise ValueError(
            f"{name}={amount!r} is no amount of {name}. Write a number and k, m, g or t, for example '512m' or '4g'."
        )
    return int(float(match["number"]) * _UNITS.get((match["unit"] or "").lower(), 1))


def _check_number(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}={value!r} is of {type(value)}. Give a number, or None for no limit.")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name}={value!r} is no limit that can be held. Give a number above 0, or None for no limit.")
