"""The tag of a wheel (PEP 425): the Pythons, the ABI and the platform that it is for.

A package without compiled code is `py3-none-any`. One with extension modules is for this Python, `cp311-cp311-linux_x86_64`, or for
this and later ones, where they use nothing but the stable ABI (`cp311-abi3-linux_x86_64`). A shared library alone, which
code loads itself, asks for a platform and for no Python (`py3-none-linux_x86_64`).
"""

from __future__ import annotations

import re
import sys
import sysconfig
from dataclasses import dataclass

__all__ = ["PURE", "WheelTag"]

_PART = re.compile(r"[A-Za-z0-9_.]+")
_CPYTHON = re.compile(r"cp3([0-9]+)")


@dataclass(frozen=True)
class WheelTag:
    """Python, ABI and platform, as the name of a wheel has them."""

    python: str
    abi: str
    platform: str

    @classmethod
    def parse(cls, text: str) -> WheelTag:
        """Read back what `str()` gave. Raises `ValueError`."""
        parts = text.split("-")
        if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
            raise ValueError(f"{text!r} is no tag of a wheel")
        return cls(*parts)

    @classmethod
    def here(cls) -> WheelTag:
        """What extension modules for this Python alone are for."""
        version = "{}{}".format(*sys.version_info[:2])
        if sys.implementation.name == "cpython":
            flags = "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
            flags += "d" * bool(sysconfig.get_config_var("Py_DEBUG"))
            return cls(f"cp{version}", f"cp{version}{flags}", _platform())
        soabi = str(sysconfig.get_config_var("SOABI") or "none").replace("-", "_").replace(".", "_")
        short = {"pypy": "pp"}.get(sys.implementation.name, sys.implementation.name)
        return cls(f"{short}{version}", "_".join(soabi.split("_")[:2]), _platform())

    @classmethod
    def of_compiled(cls, *, extensions: int, stable: int) -> WheelTag:
        """The tag of what holds compiled code: of its extension modules, `stable` are for the stable ABI."""
        here = cls.here()
        if not extensions:
            return cls("py3", "none", here.platform)
        return cls(here.python, "abi3", here.platform) if stable == extensions else here

    @property
    def is_pure(self) -> bool:
        """Whether it is for every Python and every platform."""
        return self == PURE

    @property
    def minor(self) -> int | None:
        """The 11 of CPython 3.11; `None` where it is for another Python, or for any."""
        match = _CPYTHON.fullmatch(self.python)
        return int(match[1]) if match else None

    def narrowed(self, requires_python: str) -> str:
        """A specifier that names those Pythons of another one that the tag is for."""
        if self.abi == "none":
            return requires_python
        release = "{}.{}".format(*sys.version_info[:2])
        return f"{requires_python},{f'>={release}' if self.abi == 'abi3' else f'=={release}.*'}"

    def fits(self, there: WheelTag) -> bool:
        """Whether compiled code with this tag runs where `there` is the tag of Python itself (`here()`)."""
        if not _same_platform(self.platform, there.platform):
            return False
        if self.abi == "abi3":  # a Python without the GIL has no stable ABI before 3.15
            return there.minor is not None and (self.minor or 0) <= there.minor and "t" not in there.abi
        return self.abi == "none" or (self.python, self.abi) == (there.python, there.abi)

    def __str__(self) -> str:
        return f"{self.python}-{self.abi}-{self.platform}"


PURE = WheelTag("py3", "none", "any")
"""What has no compiled code is for everybody."""


def _platform() -> str:
    name = re.sub(r"[-.]", "_", sysconfig.get_platform())
    if name == "linux_x86_64" and sys.maxsize < 2**32:  # a Python of 32 bits on a system of 64
        return "linux_i686"
    return name


def _same_platform(ours: str, theirs: str) -> bool:
    """On macOS the version is what Python was built for, which the system itself holds libraries to."""
    if ours == "any" or ours == theirs:
        return True
    one, other = (re.fullmatch(r"macosx_[0-9]+_[0-9]+_(\w+)", name) for name in (ours, theirs))
    return bool(one and other and (one[1] == other[1] or "universal2" in (one[1], other[1])))
