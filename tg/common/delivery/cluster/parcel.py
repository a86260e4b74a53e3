"""A parcel: a package on its way to a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..delivery.claims import claim_of_wheel
from ..delivery.facts import PackageFacts
from ..delivery.wheel import WheelReader
from ..execution.package_file import package_file
from ..trust.policy import Policy

if TYPE_CHECKING:
    from ..delivery.packaging import Packaging

__all__ = ["Parcel"]


@dataclass(frozen=True)
class Parcel:
    """The file of a package that is trusted here, its seal, and what it says of itself."""

    file: Path
    seal: str
    facts: PackageFacts

    @classmethod
    def of(cls, package: Packaging | str | PathLike[str], *, policy: Policy | None = None) -> Parcel:
        """Make the package if it was not made yet, and read it.

        Big data in it is proved where it is installed. Raises `PackageRejected`, and `UntrustedPackage` when nobody whom the
        policy trusts stands for it; `Policy.of_machine()` where none is given.
        """
        policy = Policy.of_machine() if policy is None else policy
        file = package_file(package)
        with WheelReader(file) as wheel:
            seal = wheel.check_seal()
            policy.check(claim_of_wheel(wheel, seal))
            return cls(file, seal, wheel.facts)

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.file.stat().st_size
