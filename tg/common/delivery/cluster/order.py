"""An order: what a task of a cluster is to do with a package. Made once for a run, and sent with each of its tasks."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from functools import lru_cache

__all__ = ["RUN_ID", "Order"]

RUN_ID = re.compile(r"[a-z0-9_]+-[0-9a-f]{8}")
"""What the id of a run looks like: the UID of its package, and something that no other has."""


@dataclass(frozen=True)
class Order:
    """What is to be done: by which package, with which of its methods, in which environment.

    - `seal`: the digest of the package file; `module_name`: its UID; `file`: where it lies for the driver. A node on the same
      machine, or with the same disk, need not fetch it.
    - `method`: of the job, called with each item; nothing for a job that runs once, without items.
    - `isolated`: whether it gets an environment of its own, with what it requires and no more.
    - `prefix` and `roots`: what items call the modules of the driver's tree that they are of; see `Roots`.
    """

    run_id: str
    seal: str
    module_name: str
    file: str
    method: str
    isolated: bool
    prefix: str
    roots: tuple[str, ...]

    @lru_cache(maxsize=64)  # noqa: B019 as many orders are kept, which are small
    def to_bytes(self) -> bytes:
        """It, as it is sent."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    @lru_cache(maxsize=64)
    def of_bytes(data: bytes) -> Order:
        """Read back what `to_bytes` wrote."""
        found = json.loads(data)
        return Order(**{**found, "roots": tuple(found["roots"])})
