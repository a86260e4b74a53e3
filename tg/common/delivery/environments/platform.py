"""What a package runs on: operating system, architecture and C library, in the words of OCI, of docker and of uv."""

from __future__ import annotations

import platform as machine
import sys
from dataclasses import dataclass

from ..runtime.errors import DependencyProblem, ImageProblem

__all__ = ["Platform"]

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Architectures by their names in Go, which OCI uses, and in Python's tags; those that PyPI has wheels for."""
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "arm64v8": "arm64"}


@dataclass(frozen=True)
class Platform:
    """`linux/amd64` or `linux/arm64`, and whether its C library is `glibc` or `musl`; `darwin/arm64` has its own."""

    architecture: str
    libc: str = "glibc"
    os: str = "linux"

    @classmethod
    def parse(cls, text: str, *, libc: str = "glibc") -> Platform:
        """Read `linux/amd64`, as `docker --platform` takes it. Raises `ImageProblem`."""
        system, _, machine = text.lower().partition("/")
        architecture = _ALIASES.get(machine.removesuffix("/v8"), machine.removesuffix("/v8"))
        if system != "linux" or architecture not in _MACHINES:
            raise ImageProblem(f"images for {text!r} cannot be composed. There are linux/{', linux/'.join(_MACHINES)}.")
        return cls(architecture, libc)

    @classmethod
    def of_machine(cls) -> Platform:
        """This machine's. Raises `DependencyProblem` for one that no wheels are named for here."""
        architecture = _ALIASES.get(machine.machine().lower(), machine.machine().lower())
        if sys.platform not in ("linux", "darwin") or architecture not in _MACHINES:
            raise DependencyProblem(
                f"dependencies cannot be locked for this machine ({sys.platform}, {machine.machine()}). Name the platform that the "
                f"package is for: linux/{', linux/'.join(_MACHINES)}.",
                problems=[],
            )
        if sys.platform == "darwin":
            return cls(architecture, "", "darwin")
        return cls(architecture, "glibc" if machine.libc_ver()[0] == "glibc" else "musl")

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"

    @property
    def uv_name(self) -> str:
        """What `uv --python-platform` calls it. glibc 2.28 is what current wheels ask for and Debian 10 had."""
        if self.os == "darwin":
            return f"{_MACHINES[self.architecture]}-apple-darwin"
        return f"{_MACHINES[self.architecture]}-{'manylinux_2_28' if self.libc == 'glibc' else 'unknown-linux-musl'}"
