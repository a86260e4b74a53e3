"""What the receiving side runs: it has packages, and neither the project nor its path.

    python -I receive.py REPORT PACKAGE:RESOURCE...

Runs each named resource of each package, all in this one process, and writes what came of it to the file REPORT.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tg.common.delivery.delivery import install_package_and_get_loader


def main(report: str, *wanted: str) -> None:
    found = importlib.util.find_spec("tg.flights")
    runs = [run(*one.rsplit(":", 1)) for one in wanted]
    answer = {"tg.flights": found and found.origin, "runs": runs, "path": sys.path}
    Path(report).write_text(json.dumps(answer, default=str))


def run(package: str, resource: str) -> dict[str, object]:
    entry_point = install_package_and_get_loader(package, silent=True)
    job = entry_point.load_resource(resource)
    started = time.perf_counter()
    result = job.run()
    return {
        "uid": entry_point.module_name,
        "class": f"{type(job).__module__}.{type(job).__qualname__}",
        "seconds": time.perf_counter() - started,
        "result": asdict(result),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
