"""What a package runs on: operating system, architecture and C library, in the words of OCI, of docker and of uv."""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass

from ..runtime.errors import DependencyProblem, ImageProblem

__all__ = ["Platform", "libc_here"]

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Architectures by their names in Go, which OCI uses, and in Python's tags; those that PyPI has wheels for."""
_LIBRARIES = "glibc", "musl"
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
            raise ImageProblem(
                f"{text!r} is no platform that is delivered to. There are linux/{', linux/'.join(_MACHINES)}."
            )
        if libc not in _LIBRARIES:
            raise ImageProblem(
                f"{libc!r} is no C library that wheels are named for. There are {', '.join(_LIBRARIES)}."
            )
        return cls(architecture, libc)

    @classmethod
    def of_machine(cls) -> Platform:
        """This machine's. Raises `DependencyProblem` for one that no wheels are named for here."""
        architecture = _ALIASES.get(os.uname().machine.lower(), os.uname().machine.lower())
        if sys.platform not in ("linux", "darwin") or architecture not in _MACHINES:
            raise DependencyProblem(
                f"dependencies cannot be locked for this machine ({sys.platform}, {os.uname().machine}). Name the platform that the "
                f"package is for: linux/{', linux/'.join(_MACHINES)}.",
                problems=[],
            )
        if sys.platform == "darwin":
            return cls(architecture, "", "darwin")
        return cls(architecture, libc_here())

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"

    @property
    def machine(self) -> str:
        """The architecture as the tags of wheels have it: `x86_64`."""
        return _MACHINES[self.architecture]

    @property
    def uv_name(self) -> str:
        """What `uv --python-platform` calls it. glibc 2.28 is what current wheels ask for and Debian 10 had."""
        if self.os == "darwin":
            return f"{self.machine}-apple-darwin"
        return f"{self.machine}-{'manylinux_2_28' if self.libc == 'glibc' else 'unknown-linux-musl'}"


def libc_here() -> str:
    """`glibc` or `musl` on Linux, which no tag of `linux_…` tells apart; nothing elsewhere."""
    if not sys.platform.startswith("linux"):
        return ""
    names = (sysconfig.get_config_var(name) or "" for name in ("HOST_GNU_TYPE", "SOABI"))
    return "musl" if any("musl" in name for name in names) else "glibc"
