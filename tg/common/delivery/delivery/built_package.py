"""A package file as a value for what makes images of it: every byte proved to be as it was made."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..images.package_layer import BuiltPackage, PackageFile
from ..trust.policy import Policy
from .claims import claim_of_wheel
from .facts import LOCKS
from .wheel import WheelReader

__all__ = ["read_built_package"]


def read_built_package(file: Path, *, policy: Policy | None = None) -> BuiltPackage:
    """Read a package that a policy trusts; `Policy.of_machine()` where none is given.

    Small data are read once; big ones are mapped, not copied, and have to be as `sha256` says where they are used.
    Raises `PackageRejected` when it is not the one that was made, `UntrustedPackage` when nobody who is trusted stands for
    it.
    """
    policy = Policy.of_machine() if policy is None else policy
    with WheelReader(file) as wheel:
        policy.check(claim_of_wheel(wheel, wheel.check_seal()))
        files = []
        for path, entry in wheel.members.items():
            sha256 = hashlib.sha256(wheel.data(path)).hexdigest()
            if path in wheel.record:
                wheel.check_hash(path, sha256)
            files.append(PackageFile(path, wheel.data(path), sha256, entry.executable))
        facts = wheel.facts
    folder = f"{facts.module_name}/{LOCKS}/"
    return BuiltPackage(
        name=facts.uid.name,
        version=facts.uid.version,
        module_name=facts.module_name,
        digest=f"sha256:{facts.content}",
        requirements=tuple(facts.requirements()),
        requires_python=facts.requires_python,
        files=tuple(files),
        roots=facts.roots,
        locks={one.path.removeprefix(folder): bytes(one.data).decode() for one in files if one.path.startswith(folder)},
        tag=str(facts.tag),
        libc=facts.libc,
    )
