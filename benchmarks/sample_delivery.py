"""One sample of delivery: make the package, install it, load the job, run it.

python -m benchmarks.sample_delivery VERSION      with the project on the path; prints the seconds of each stage
"""

from __future__ import annotations

import importlib
import json
import sys
import time


def main(version: str) -> None:
    from tg.common.delivery.delivery import Packaging, install_package_and_get_loader

    job = importlib.import_module("tg.bench.job").Job()
    started = time.perf_counter()
    packaging = Packaging("bench", version, {"job": job})
    packaging.silent = True
    packaging.make_package()
    made = time.perf_counter()
    entry_point = install_package_and_get_loader(packaging.package_location or "", silent=True)
    installed = time.perf_counter()
    result = entry_point.load_resource("job").run()
    done = time.perf_counter()
    print(json.dumps({"make": made - started, "install": installed - made, "load": done - installed, "result": result}))


if __name__ == "__main__":
    main(*sys.argv[1:])
