"""One sample of the floor: zip the tree's files (stored), unzip them, import the job, run it. Standard library alone.

python -m benchmarks.sample_floor FOLDER PROJECT PORTION...      portions are folders `tg`; prints the seconds of each stage
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import zipfile

NOT_DELIVERED = ("__pycache__", "cli", "page")
"""Folders that delivery leaves out: the command, and the pages of the server and of inspecting, which a `.deliveryignore` names."""


def main(folder: str, project: str, *portions: str) -> None:
    _import_as_delivery_does(project)
    archive, unzipped = os.path.join(folder, "tree.zip"), os.path.join(folder, "unzipped")
    started = time.perf_counter()
    with zipfile.ZipFile(archive, "w") as file:
        for portion in portions:
            for place, folders, names in os.walk(portion):
                folders[:] = sorted(name for name in folders if name not in NOT_DELIVERED)
                for name in sorted(names):
                    path = os.path.join(place, name)
                    file.write(path, os.path.join("tg", os.path.relpath(path, portion)))
    zipped = time.perf_counter()
    with zipfile.ZipFile(archive) as file:
        file.extractall(unzipped)
    extracted = time.perf_counter()
    sys.path.insert(0, unzipped)
    job = importlib.import_module("tg.bench.job")
    result = job.Job().run()
    done = time.perf_counter()
    assert job.__file__.startswith(unzipped)
    stages = {"make": zipped - started, "install": extracted - zipped, "load": done - extracted}
    print(json.dumps({**stages, "result": result, "files": len(zipfile.ZipFile(archive).namelist())}))


def _import_as_delivery_does(project: str) -> None:
    """Delivery's sample has imported the job, and so what it needs of the standard library, before it is timed."""
    sys.path.insert(0, project)
    importlib.import_module("tg.bench.job")
    sys.path.remove(project)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tg"]:
        del sys.modules[name]


if __name__ == "__main__":
    main(*sys.argv[1:])
