"""One sample of a check: make the package of a tree, once with the check and once without.

python -m benchmarks.sample_check VERSION [EXPRESSION]      with the project on the path; prints the seconds of both

`EXPRESSION` gives a second object of the payload. The one without comes first: what both need is known when the other begins.
"""

from __future__ import annotations

import importlib
import json
import sys
import time


def main(version: str, expression: str = "") -> None:
    from tg.common.delivery.delivery import Packaging

    payload = {"job": importlib.import_module("tg.bench.job").Job()}
    if expression:
        module, _, rest = expression.partition(":")
        payload["more"] = eval(rest, vars(importlib.import_module(module)))
    packaging = Packaging("bench", version, payload, dependencies="auto" if expression else None)
    packaging.silent = True
    seconds = {}
    for name, checked in (("unchecked", False), ("checked", True)):
        packaging.checked = checked
        started = time.perf_counter()
        packaging.make_package()
        seconds[name] = time.perf_counter() - started
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
