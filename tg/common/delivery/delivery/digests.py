"""Digests of bytes: what a wheel says of each of its files."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass

from ...progress import Work, working

__all__ = ["Digests", "hash_in_background"]

_HASHED_AT_ONCE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Digests:
    """SHA-256 in hexadecimal digits, for RECORD; CRC-32, for the archive's headers."""

    sha256: str
    crc: int

    @classmethod
    def of(cls, data: bytes | memoryview) -> Digests:
        """Both, one after the other."""
        return cls(hashlib.sha256(data).hexdigest(), zlib.crc32(data))


def hash_in_background(buffers: Sequence[memoryview]) -> Callable[[], list[Digests]]:
    """Start to hash big buffers while other things are done; what is returned waits for all digests, in their order.

    Two threads are enough and are worth it: neither sum holds the interpreter, and each takes about as long as
    everything else about a big payload.
    """
    if not buffers:
        return list
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(2, thread_name_prefix="tg-digests")
    sha256 = pool.submit(copy_context().run, _sha256_of, buffers)
    crc = pool.submit(lambda: [zlib.crc32(buffer) for buffer in buffers])
    pool.shutdown(wait=False)
    return lambda: [Digests(*both) for both in zip(sha256.result(), crc.result(), strict=True)]


def _sha256_of(buffers: Sequence[memoryview]) -> list[str]:
    with working("hashing the payload", sum(len(buffer) for buffer in buffers)) as work:
        return [_sha256(buffer, work) for buffer in buffers]


def _sha256(buffer: memoryview, work: Work) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(buffer), _HASHED_AT_ONCE):
        piece = buffer[start : start + _HASHED_AT_ONCE]
        digest.update(piece)
        work.advance(len(piece))
    return digest.hexdigest()
