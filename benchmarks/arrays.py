"""An array of 256 MiB in the payload: time against plain pickling and copying, and memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from .samples import Measure, median_measure, ratio_measure, sample


def measure(rounds: int, *, quick: bool = False) -> list[Measure]:
    taken = []
    for number in range(rounds + 1):
        # Which is first changes from round to round, so that neither always finds the disk as the other has left it.
        order = ("delivery", "floor") if number % 2 else ("floor", "delivery")
        both = {which: _sample(which) for which in order}
        if number:
            taken.append((both["delivery"], both["floor"]))
    ours = [delivery for delivery, _ in taken]
    peaks = [one["peak_mib_over_payload"] for one in ours]
    resident = [one["resident_mib_after_load"] for one in ours]
    return [
        ratio_measure("256 MiB array, make", "pickle.dump + sha256", 1.3, _pairs(taken, "make")),
        Measure(
            "256 MiB array, make, peak memory over the payload",
            max(peaks),
            "MiB",
            32,
            f"the highest of all samples; {ours[0]['peak_from']}",
            samples=tuple(peaks),
        ),
        ratio_measure("256 MiB array, install", "copy + sha256", 1.3, _pairs(taken, "install")),
        median_measure("256 MiB array, load", "ms", [1000 * one["load"] for one in ours], 20, "numpy imported before"),
        Measure(
            "256 MiB array, resident after load",
            max(resident),
            "MiB",
            20,
            "until touched; the highest of all samples",
            samples=tuple(resident),
        ),
    ]


def _sample(which: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return sample("-m", "benchmarks.sample_array", which, folder, home=Path(folder, "home"))


def _pairs(taken: list[tuple[Any, Any]], stage: str) -> list[tuple[float, float]]:
    return [(ours[stage], floor[stage]) for ours, floor in taken]
