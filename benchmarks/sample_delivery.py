"""One sample of delivery: make the package, install it, load the job, run it.

python -m benchmarks.sample_delivery VERSION            with the project on the path; prints the seconds of each stage
python -m benchmarks.sample_delivery VERSION count      prints what was parsed, hashed and written instead
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
import zipfile
from pathlib import Path
from typing import Any


def main(version: str, count: str = "") -> None:
    from tg.common.delivery.delivery import Packaging, install_package_and_get_loader

    job = importlib.import_module("tg.bench.job").Job()
    counts = Counts() if count else None
    started = time.perf_counter()
    packaging = Packaging("bench", version, {"job": job})
    packaging.silent = True
    packaging.checked = False  # measured apart, by checks.py
    packaging.make_package()
    made = time.perf_counter()
    entry_point = install_package_and_get_loader(packaging.package_location, silent=True)
    installed = time.perf_counter()
    result = entry_point.load_resource("job").run()
    done = time.perf_counter()
    stages = {"make": made - started, "install": installed - made, "load": done - installed}
    with zipfile.ZipFile(packaging.package_location) as wheel:
        members = [path for path in wheel.namelist() if path.startswith(f"{entry_point.module_name}/tg/")]
    counted: dict[str, float] = {"files": len(members)}
    if counts is not None:
        counted |= counts.of(Path(packaging.package_location), entry_point.resources_location.parents[1], members)
    print(json.dumps({**stages, "result": result, **counted}))


class Counts:
    """Sees, from when it is made, what is parsed and hashed, by putting itself before the functions that do it."""

    def __init__(self) -> None:
        from tg.common.delivery.delivery import parsing, syntax

        self._sha256, self._syntax_error, self._start = hashlib.sha256, parsing.syntax_error, syntax._start
        self.parsed, self.hashed_bytes, self.digests = 0, 0, set[bytes]()
        parsing.syntax_error, syntax._start = self._counting_error, self._counting_start
        hashlib.sha256 = lambda data=b"", **options: _Counting(self, self._sha256(data, **options), data)

    def of(self, wheel: Path, installed: Path, members: list[str]) -> dict[str, float]:
        digests = set(self.digests)
        contents = [(installed / member).read_bytes() for member in members]
        hashed = [content != b"" and self._sha256(content).digest() in digests for content in contents]
        return {
            "parsed": self.parsed,
            "hashed": sum(hashed),
            "written": sum((installed / member).stat().st_nlink == 1 for member in members),
            "hashed_archives": self.hashed_bytes / wheel.stat().st_size,
        }

    def _counting_error(self, *arguments: Any) -> Any:
        self.parsed += 1
        return self._syntax_error(*arguments)

    def _counting_start(self, locations: Any) -> Any:
        """What is given to another process to parse; it starts with nothing of this in place."""
        self.parsed += len(list(locations))
        return self._start(locations)


class _Counting:
    """A digest that tells what went into it and what it came to."""

    def __init__(self, counts: Counts, digest: Any, data: Any) -> None:
        self._counts, self._digest = counts, digest
        counts.hashed_bytes += memoryview(data).nbytes

    def update(self, data: Any) -> None:
        self._counts.hashed_bytes += memoryview(data).nbytes
        self._digest.update(data)

    def digest(self) -> bytes:
        self._counts.digests.add(self._digest.digest())
        return self._digest.digest()

    def hexdigest(self) -> str:
        return self.digest().hex()


if __name__ == "__main__":
    main(*sys.argv[1:])
