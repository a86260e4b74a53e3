"""torch.package: the archive has the modules that the object needs, found by reading imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.package import PackageExporter, PackageImporter


def build(value: Any, folder: Path, tree: Path) -> None:
    with PackageExporter(str(folder / "payload.pt")) as exporter:
        exporter.intern("tg.bench.**")
        exporter.extern("numpy.**")
        exporter.save_pickle("payload", "payload.pkl", value)


def load(folder: Path) -> Any:
    return PackageImporter(str(folder / "payload.pt")).load_pickle("payload", "payload.pkl")
