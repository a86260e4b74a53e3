"""A package file as a value for what makes images of it: every byte proved to be as it was made."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..images.package_layer import BuiltPackage, PackageFile
from .wheel import BIG_BYTES, WheelReader

__all__ = ["read_built_package"]


def read_built_package(file: Path) -> BuiltPackage:
    """Read a package. Its data are mapped, not copied. Raises `PackageRejected` when it is not the one that was made."""
    with WheelReader(file) as wheel:
        wheel.check_seal()
        files = []
        for path, entry in wheel.members.items():
            recorded = wheel.record.get(path)
            if entry.size >= BIG_BYTES:  # the seal speaks for the others
                wheel.check_hash(path, hashlib.sha256(wheel.data(path)).hexdigest())
            sha256 = recorded.sha256 if recorded is not None else hashlib.sha256(wheel.data(path)).hexdigest()
            files.append(PackageFile(path, wheel.data(path), sha256, entry.executable))
        facts = wheel.facts
    return BuiltPackage(
        name=facts.uid.name,
        version=facts.uid.version,
        module_name=facts.module_name,
        digest=f"sha256:{facts.content}",
        requirements=tuple(facts.requirements()),
        requires_python=facts.requires_python,
        files=tuple(files),
    )
