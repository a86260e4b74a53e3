"""One sample of relocating: a tree's modules relocated, and parsed, each in turn; and how many of them making parses."""

from __future__ import annotations

import ast
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = "mycompany"


def main(folder: str, first: str) -> None:
    """Print the seconds that relocating and parsing all modules take; `first` is what is done first."""
    from tg.common.delivery.delivery.relocation import may_need_relocation, relocate

    roots = (ROOT, "tg")
    files = sorted(Path(folder, ROOT).rglob("*.py"))
    sources = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}

    def relocated() -> int:
        needed = [path for path, source in sources.items() if may_need_relocation(source, roots, path)]
        return sum(relocate(sources[path], roots, path).source != sources[path] for path in needed)

    def parsed() -> int:
        return sum(bool(ast.parse(source)) for source in sources.values())

    taken: dict[str, Any] = {}
    for name in (first, *({"relocate", "parse"} - {first})):
        started = time.perf_counter()
        count = relocated() if name == "relocate" else parsed()
        taken[name] = time.perf_counter() - started
        assert count >= 0.99 * len(sources)
    print(json.dumps(taken))


def again() -> None:
    """Print how often a file is parsed while the tree is made a package, here or in another process."""
    from tg.common.delivery.delivery import Packaging
    from tg.common.delivery.delivery.example_job import ExampleJob

    packaging = Packaging("relocating", "0", {"job": ExampleJob()}, roots=[ROOT])
    packaging.silent = True
    parsed = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal parsed
        parsed += (event == "compile" and arguments[1] == "<unknown>") or event == "os.posix_spawn"

    sys.addaudithook(count)
    with tempfile.TemporaryDirectory() as folder:
        packaging.make_package(folder)
    print(json.dumps({"parsed": parsed}))
