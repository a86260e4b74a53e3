"""python -m benchmarks [--quick | --rounds N] [--json FILE] [--readme] [--setup] [PART...]"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from . import report
from .samples import Measure, SampleFailed

OURS = ("packages", "arrays", "imports", "checks", "isolation", "relocating", "serving")
CLUSTERS = ("clusters",)
"""Of several processes each; minutes."""
OTHERS = ("peers", "versions", "servers")
CONTAINERS = ("images", "runs")
"""They need an engine, an ssh server and a registry, which `scripts/services` starts."""
PARTS = (*OURS, *CLUSTERS, *OTHERS, *CONTAINERS)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure delivery against floors, and beside other systems."
    )
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="part",
        help=f"what to measure: {', '.join(PARTS)} (default: {' '.join(OURS)})",
    )
    parser.add_argument("--rounds", type=int, default=7, help="samples of each, after one to warm up (default: 7)")
    parser.add_argument("--quick", action="store_true", help="to try it: two rounds, and the smaller tree alone")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures, with every sample, to FILE as well"
    )
    parser.add_argument("--readme", action="store_true", help="renew the tables of these parts in benchmarks/README.md")
    parser.add_argument(
        "--setup", action="store_true", help="install the other systems into .venv-peers, as far as they can be"
    )
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}. There are: {', '.join(PARTS)}.")
    if options.setup:
        import_module("benchmarks.peers").setup()
        if not options.parts or options.parts == ["peers"]:
            return 0
    rounds = 2 if options.quick else options.rounds
    found: dict[str, list[report.Row]] = {}
    failed: dict[str, SampleFailed] = {}
    for part in options.parts or OURS:
        found[part] = []
        try:
            for row in import_module(f"benchmarks.{part}").measure(rounds, quick=options.quick):
                found[part].append(row)  # what was measured before one fails is kept
        except SampleFailed as error:
            failed[part] = error
        print(f"{part}\n\n{report.table(found[part])}\n", flush=True)
    if options.json:
        options.json.write_text(report.as_json(found), encoding="utf-8")
    if options.readme:
        report.write_readme({part: rows for part, rows in found.items() if part not in failed}, rounds)
    missed = [row for rows in found.values() for row in rows if isinstance(row, Measure) and row.reached is False]
    for error in failed.values():
        print(f"error: {error}", file=sys.stderr)
    return 1 if missed or failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
