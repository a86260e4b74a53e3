"""One sample of a system that does what delivery does, or part of it.

python -m benchmarks.sample_peer SYSTEM tree|array build|load FOLDER      prints seconds, and memory in MiB

`tree`: the job of the benchmark's tree, which is on the path while building and is not while loading. `array`: an array of
256 MiB. The import of the system is timed apart; numpy is imported before anything is timed.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def main(system: str, what: str, step: str, folder: str) -> None:
    if what == "array":
        importlib.import_module("numpy")
    started = time.perf_counter()
    module = importlib.import_module(f"benchmarks.systems.{system}")
    imported = time.perf_counter() - started
    value = _payload(what) if step == "build" else None
    tree = Path(sys.modules["tg.bench"].__path__[0]).parent if "tg.bench" in sys.modules else Path(folder, "tg")
    if step == "build":
        tree.mkdir(exist_ok=True)  # there is none to deliver with an array, but some want a folder
    before, started = _resident(), time.perf_counter()
    if step == "build":
        module.build(value, Path(folder), tree)
    else:
        value = module.load(Path(folder))
        if what == "tree":
            result = value.run()
    seconds, resident = time.perf_counter() - started, _resident() - before
    if step == "build" and what == "tree":
        result = value.run()
    elif what == "array":
        result = float(value["array"].sum())
    print(json.dumps({"import": imported, "seconds": seconds, "resident": resident, "result": result}))


def _payload(what: str) -> Any:
    if what == "tree":
        return importlib.import_module("tg.bench.job").Job()
    import numpy as np

    return {"array": np.random.default_rng(0).random(32 << 20)}


def _resident() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # not Linux
        return float("nan")
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
