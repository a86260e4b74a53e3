"""python -m benchmarks [--rounds N] [--json FILE] [--readme] [packages arrays imports peers]"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from . import report

OURS = ("packages", "arrays", "imports")
PARTS = (*OURS, "peers")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure delivery against floors and peers."
    )
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, []], help="what to measure (default: packages arrays imports)"
    )
    parser.add_argument("--rounds", type=int, default=7, help="samples of each, after one to warm up (default: 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument("--readme", action="store_true", help="put the table into benchmarks/README.md")
    options = parser.parse_args()
    measures = []
    for part in options.parts or OURS:
        measures += import_module(f"benchmarks.{part}").measure(options.rounds)
    print(report.table(measures))
    if options.json:
        options.json.write_text(report.as_json(measures), encoding="utf-8")
    if options.readme:
        report.write_readme(measures, "peers" if options.parts == ["peers"] else "figures")
    return 1 if any(one.reached is False for one in measures) else 0


if __name__ == "__main__":
    raise SystemExit(main())
