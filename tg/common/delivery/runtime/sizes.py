"""Sizes: a number of bytes as a person reads it."""

from __future__ import annotations

__all__ = ["size_of"]


def size_of(count: float) -> str:
    """In powers of 1024: `12 bytes`, `3.4 MiB`."""
    for unit in ("bytes", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
