"""Build one of two versions with a system, or load both into one process and ask each whose code it runs.

python -m benchmarks.sample_versions SYSTEM build FOLDER      with the project on the path
python -m benchmarks.sample_versions SYSTEM load FOLDER_A FOLDER_B      without it
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path


def main(system: str, step: str, *folders: str) -> None:
    sys.dont_write_bytecode = (
        True  # both versions are of one size, and may be of one second: bytecode would mix them up
    )
    module = importlib.import_module(f"benchmarks.systems.{system}")
    if step == "build":
        job = importlib.import_module("tg.bench.job").Job()
        module.build(job, Path(folders[0]), Path(sys.modules["tg.bench"].__path__[0]).parent)
        print(json.dumps({}))
        return
    loaded = [module.load(Path(folder)) for folder in folders]
    seen = [{"early": _answer(job.early), "late": _answer(job.late)} for job in loaded]
    print(json.dumps(dict(zip("AB", seen, strict=True))))


def _answer(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  whatever the system lets happen is what is to be seen
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(*sys.argv[1:])
