"""A zip archive on `sys.path`, as zipapp makes it: the tree as it is, the pickle beside it."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any


def build(value: Any, folder: Path, tree: Path) -> None:
    with zipfile.ZipFile(folder / "job.pyz", "w") as archive:
        for path in [tree, *sorted(tree.rglob("*"))]:  # folders too: `tg` has no __init__.py and is not found without
            archive.write(path, f"tg/{path.relative_to(tree).as_posix()}")
        archive.writestr("payload.pickle", pickle.dumps(value, protocol=5))


def load(folder: Path) -> Any:
    sys.path.insert(0, str(folder / "job.pyz"))
    with zipfile.ZipFile(folder / "job.pyz") as archive:
        return pickle.loads(archive.read("payload.pickle"))
