"""One sample of another system that does part of what delivery does.

python -m benchmarks.sample_peer PEER tree|array build|load FOLDER      prints seconds, and memory in MiB

`tree`: the job of the benchmark's tree, which is on the path while building and is not while loading. `array`: an array of
256 MiB. What the system's own import takes is not in the figures.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Load = Callable[[], Any]


def payload(what: str) -> Any:
    if what == "tree":
        return importlib.import_module("tg.bench.job").Job()
    import numpy as np

    return {"array": np.random.default_rng(0).random(32 << 20)}


def cloudpickle(folder: Path, building: bool) -> tuple[Callable[[Any], None], Load]:
    import cloudpickle as system

    file = folder / "payload.pickle"
    if building and "tg.bench.job" in sys.modules:
        system.register_pickle_by_value(importlib.import_module("tg.bench"))
    return lambda value: file.write_bytes(system.dumps(value)) and None, lambda: system.loads(file.read_bytes())


def torch_package(folder: Path, building: bool) -> tuple[Callable[[Any], None], Load]:
    from torch.package import PackageExporter, PackageImporter

    file = str(folder / "payload.pt")

    def build(value: Any) -> None:
        with PackageExporter(file) as exporter:
            exporter.intern("tg.bench.**")
            exporter.extern("numpy.**")
            exporter.save_pickle("payload", "payload.pkl", value)

    return build, lambda: PackageImporter(file).load_pickle("payload", "payload.pkl")


def mlflow(folder: Path, building: bool) -> tuple[Callable[[Any], None], Load]:
    import mlflow.pyfunc as system

    class Model(system.PythonModel):
        def __init__(self, value: Any) -> None:
            self.value = value

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return self.value

    place = str(folder / "model")

    def build(value: Any) -> None:
        tree = [str(Path(sys.modules["tg.bench"].__path__[0]).parent)] if "tg.bench" in sys.modules else None
        system.save_model(place, python_model=Model(value), code_paths=tree)

    return build, lambda: system.load_model(place).predict(None)


def resident() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def main(peer: str, what: str, step: str, folder: str) -> None:
    value = payload(what) if step == "build" else None
    build, load = globals()[peer](Path(folder), step == "build")
    if what == "array":
        importlib.import_module("numpy")
    before, started = resident(), time.perf_counter()
    if step == "build":
        build(value)
    else:
        loaded = load()
        if what == "tree":
            loaded.run()
    print(json.dumps({"seconds": time.perf_counter() - started, "resident": resident() - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
