"""One sample with an array of 256 MiB in the payload.

python -m benchmarks.sample_array floor|delivery FOLDER      prints seconds, and memory in MiB (of Linux)
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import sys
import time
from pathlib import Path

import numpy as np

MIB = 1 << 20


def status(field: str) -> float:
    """A field of /proc/self/status, in MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) / 1024


def forget_peak() -> str:
    """Let `VmHWM` count from here, and say since when it does (man 5 proc, clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not permitted in some containers
        return "since the process began"
    return "since before the call"


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            digest.update(chunk)
    return digest.hexdigest()


def floor(folder: Path, array: np.ndarray) -> dict[str, float]:
    """What the work is at least: the pickle written and hashed; the file copied and hashed."""
    started = time.perf_counter()
    with (folder / "array.pickle").open("wb") as file:
        pickle.dump(array, file, protocol=5)
    sha256_of(folder / "array.pickle")
    made = time.perf_counter()
    shutil.copyfile(folder / "array.pickle", folder / "copy")
    sha256_of(folder / "copy")
    return {"make": made - started, "install": time.perf_counter() - made}


def delivery(folder: Path, array: np.ndarray) -> dict[str, float | str]:
    from tg.common.delivery.delivery import Packaging, install_package_and_get_loader
    from tg.common.delivery.delivery.example_job import ExampleJob

    peak_from = forget_peak()
    before = status("VmRSS")  # with the payload in it
    started = time.perf_counter()
    packaging = Packaging("bench", "0.0.0", {"job": ExampleJob(), "array": array})
    packaging.silent = True
    packaging.checked = False  # measured apart, by checks.py
    packaging.make_package(folder)
    made = time.perf_counter()
    peak = status("VmHWM") - before
    entry_point = install_package_and_get_loader(packaging.package_location, silent=True)
    installed = time.perf_counter()
    resident = status("VmRSS")
    loading = time.perf_counter()
    loaded = entry_point.load_resource("array")
    load = time.perf_counter() - loading
    resident = status("VmRSS") - resident
    assert np.array_equal(loaded, array)  # this touches it
    return {
        "make": made - started,
        "install": installed - made,
        "load": load,
        "peak_mib_over_payload": peak,
        "peak_from": peak_from,
        "resident_mib_after_load": resident,
    }


def warm_up(folder: Path) -> None:
    """Write more than either will, and remove it: a virtual machine may have to fetch memory for the disk's cache first.

    Without this a sample takes 0.3 s or 1.3 s, whichever of the two it is.
    """
    with (folder / "warm-up").open("wb") as file:
        for _ in range(3 * 256):
            file.write(bytes(MIB))
    (folder / "warm-up").unlink()


def main(which: str, folder: str) -> None:
    array = np.random.default_rng(0).random(256 * MIB // 8)
    warm_up(Path(folder))
    print(json.dumps({"floor": floor, "delivery": delivery}[which](Path(folder), array)))


if __name__ == "__main__":
    main(*sys.argv[1:])
