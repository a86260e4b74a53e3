"""One sample of the floor: zip the tree's files (stored), unzip them, import the job, run it. Standard library alone.

python -m benchmarks.sample_floor FOLDER PORTION...      portions are folders `tg`; prints the seconds of each stage
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import zipfile


def main(folder: str, *portions: str) -> None:
    archive, unzipped = os.path.join(folder, "tree.zip"), os.path.join(folder, "unzipped")
    started = time.perf_counter()
    with zipfile.ZipFile(archive, "w") as file:
        for portion in portions:
            for place, folders, names in os.walk(portion):
                folders[:] = sorted(name for name in folders if name != "__pycache__")
                for name in sorted(names):
                    path = os.path.join(place, name)
                    file.write(path, os.path.join("tg", os.path.relpath(path, portion)))
    zipped = time.perf_counter()
    with zipfile.ZipFile(archive) as file:
        file.extractall(unzipped)
    extracted = time.perf_counter()
    sys.path.insert(0, unzipped)
    result = importlib.import_module("tg.bench.job").Job().run()
    done = time.perf_counter()
    print(
        json.dumps(
            {"make": zipped - started, "install": extracted - zipped, "load": done - extracted, "result": result}
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
