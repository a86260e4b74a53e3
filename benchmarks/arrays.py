"""An array of 256 MiB in the payload: time against plain pickling and copying, and memory."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from .samples import Measure, median_ratio, sample


def measure(rounds: int) -> list[Measure]:
    made, installed, loads, peaks, resident = [], [], [], [], []
    for number in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            floor = sample("-m", "benchmarks.sample_array", "floor", folder)
        with tempfile.TemporaryDirectory() as folder:
            ours = sample("-m", "benchmarks.sample_array", "delivery", folder, home=Path(folder, "home"))
        if number == 0:
            continue
        made.append((ours["make"], floor["make"]))
        installed.append((ours["install"], floor["install"]))
        loads.append(1000 * ours["load"])
        peaks.append(ours["peak_mib_over_payload"])
        resident.append(ours["resident_mib_after_load"])
    make, make_detail = median_ratio(made)
    install, install_detail = median_ratio(installed)
    return [
        Measure("256 MiB array, make", make, "x pickle.dump + sha256", 1.3, make_detail),
        Measure(
            "256 MiB array, make, peak memory over the payload", max(peaks), "MiB", 32, "the highest of all samples"
        ),
        Measure("256 MiB array, install", install, "x copy + sha256", 1.3, install_detail),
        Measure("256 MiB array, load", statistics.median(loads), "ms", 20, "numpy imported before"),
        Measure(
            "256 MiB array, resident after load", max(resident), "MiB", 20, "until touched; the highest of all samples"
        ),
    ]
