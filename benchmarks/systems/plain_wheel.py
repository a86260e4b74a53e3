"""A plain wheel: the tree as it is, the pickle beside it, installed with pip where an earlier one is installed already."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

METADATA = "Metadata-Version: 2.1\nName: bench\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: benchmarks\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build(value: Any, folder: Path, tree: Path) -> None:
    version = f"0.{sum(folder.name.encode())}"  # folders have different names, and so their wheels have versions
    information = f"bench-{version}.dist-info"
    with zipfile.ZipFile(folder / f"bench-{version}-py3-none-any.whl", "w") as wheel:
        for path in sorted(tree.rglob("*.py")):
            wheel.write(path, f"tg/{path.relative_to(tree).as_posix()}")
        wheel.writestr("tg/payload.pickle", pickle.dumps(value, protocol=5))
        wheel.writestr(f"{information}/METADATA", METADATA.format(version=version))
        wheel.writestr(f"{information}/WHEEL", WHEEL)
        wheel.writestr(f"{information}/RECORD", "".join(f"{name},,\n" for name in wheel.namelist()))


def load(folder: Path) -> Any:
    site = folder.parent / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--upgrade", "--target", str(site), str(next(folder.glob("*.whl")))], check=True)
    if str(site) not in sys.path:
        sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    return pickle.loads((site / "tg/payload.pickle").read_bytes())
