"""The facts of a package, `package.json`: what it is, what it needs, and what its parts hash to."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..environments.platform import libc_here
from ..runtime.names import UID
from ..runtime.roots import MAIN
from .required_python import python_satisfies
from .wheel_tag import PURE, WheelTag

__all__ = ["FORMAT", "LOCKS", "PackageFacts"]

FORMAT = 1
"""The version of the package format. It changes when a reader of the old format would misread the new one."""

LOCKS = "locks"
"""The folder of a package that has its locks, a file for each target."""


@dataclass(frozen=True)
class PackageFacts:
    """What `package.json` says.

    `requires_python` is a specifier as in wheel metadata (`>=3.10`), `dependencies` are requirements (PEP 508) by the
    name of their list, `resources` the payload's keys, `content` and `source` SHA-256 digests in hexadecimal digits: of
    source, payload and needs together, which no UID is part of, and of the source tree alone. `roots` are the top-level
    packages in it, `tg` among them, and `__main__` where the script or notebook that was run is in it, as `main`. `built_with` is the
    Python that made it (`3.11`), this one by default. `tag` says which Pythons and platforms its compiled code is for, `libc` with which C
    library (`glibc`, `musl`); a package without any is pure.
    """

    uid: UID
    original_tg_import_path: str
    requires_python: str
    dependencies: Mapping[str, tuple[str, ...]]
    resources: tuple[str, ...]
    content: str
    source: str
    roots: tuple[str, ...] = ("tg",)
    tag: WheelTag = PURE
    libc: str = ""
    built_with: str = field(default_factory=lambda: ".".join(map(str, sys.version_info[:2])))

    @property
    def module_name(self) -> str:
        """The UID as a module."""
        return str(self.uid)

    @property
    def tg_import_path(self) -> str:
        """The delivered source tree as a module."""
        return f"{self.uid}.tg"

    @property
    def dist_info(self) -> str:
        """The wheel's folder of metadata (PEP 427)."""
        return f"{self.uid.name}-{self.uid.version}.dist-info"

    @property
    def properties(self) -> dict[str, str]:
        """What an `EntryPoint` shows, but for where it lies."""
        return {
            "name": self.uid.name,
            "version": self.uid.version,
            "module_name": self.module_name,
            "tg_import_path": self.tg_import_path,
            "original_tg_import_path": self.original_tg_import_path,
        }

    @property
    def unfit(self) -> str | None:
        """Why this Python on this machine cannot run the package; `None` if it can."""
        return _unfit(self.tag, self.libc, self.requires_python)

    def requirements(self) -> list[str]:
        """All dependencies, each once, in their order."""
        return list(dict.fromkeys(one for names in self.dependencies.values() for one in names))

    def to_json(self) -> bytes:
        """The file's bytes."""
        content = {
            "format": FORMAT,
            **self.properties,
            "python": {"requires": self.requires_python, "built_with": self.built_with},
            **({} if self.tag.is_pure else {"compiled": {"tag": str(self.tag), "libc": self.libc}}),
            "dependencies": {name: list(requirements) for name, requirements in self.dependencies.items()},
            "resources": list(self.resources),
            "roots": list(self.roots),
            "digests": {"content": self.content, "source": self.source},
        }
        return (json.dumps(content, indent=2) + "\n").encode()

    @staticmethod
    def needs_newer(content: Any) -> str | None:
        """Why this code or this Python cannot take a package, given its parsed `package.json`; `None` if they can."""
        if not isinstance(content, dict) or not isinstance(content.get("format"), int):
            raise ValueError("it does not say which format it has")
        if content["format"] > FORMAT:
            return (
                f"has package format {content['format']}, and this version of delivery reads format {FORMAT} and older. "
                f"Upgrade it here (pip install -U training-grounds-delivery)"
            )
        return _unfit(*_compiled(content), content["python"]["requires"])

    @classmethod
    def from_json(cls, content: Any) -> PackageFacts:
        """Read back what `to_json` wrote. Raises `ValueError` or `KeyError` for anything else."""
        try:
            return cls._parsed(content)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"a field is of another kind than it should be: {error}") from error

    @classmethod
    def of_folder(cls, folder: Path) -> PackageFacts | None:
        """The facts of the package whose folder `UID/` is given; `None` when there is none in it, or none any more."""
        try:
            return cls.from_json(json.loads((folder / "package.json").read_bytes()))
        except (OSError, ValueError, KeyError):
            return None

    @classmethod
    def _parsed(cls, content: Any) -> PackageFacts:
        module_name, name, version = content["module_name"], content["name"], content["version"]
        if not isinstance(content["resources"], list):
            raise ValueError("resources is not a list")
        uid = UID(name, version, human_readable=module_name == name)
        if str(uid) != module_name:
            raise ValueError(f"the module {module_name!r} does not belong to {name!r} {version!r}")
        return cls(
            uid=uid,
            original_tg_import_path=content["original_tg_import_path"],
            requires_python=content["python"]["requires"],
            dependencies={key: tuple(value) for key, value in content["dependencies"].items()},
            resources=tuple(content["resources"]),
            content=content["digests"]["content"],
            source=content["digests"]["source"],
            roots=_roots(content.get("roots", ["tg"])),
            tag=_compiled(content)[0],
            libc=_compiled(content)[1],
            built_with=str(content["python"]["built_with"]),
        )


def _roots(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or "tg" not in names or not all(isinstance(one, str) for one in names):
        raise ValueError("roots is not a list of names with tg among them")
    if not all(one.isidentifier() for one in names):
        raise ValueError("roots has a name that no module has")
    if {MAIN, "main"} <= set(names):
        raise ValueError("roots has two that would both be the module main")
    return tuple(names)


def _compiled(content: Any) -> tuple[WheelTag, str]:
    """What the compiled code of a package is for; what has none is for everybody."""
    said = content.get("compiled")
    if said is None:
        return PURE, ""
    if said["libc"] not in ("", "glibc", "musl"):
        raise ValueError("compiled names a C library that is none")
    return WheelTag.parse(said["tag"]), said["libc"]


def _unfit(tag: WheelTag, libc: str, requires_python: str) -> str | None:
    here = WheelTag.here()
    if not tag.fits(here) or (libc and libc != libc_here()):
        with_libc, with_ours = (f" with {one}" if libc and one else "" for one in (libc, libc_here()))
        return (
            f"has code that is compiled for {tag}{with_libc}, and this is {here}{with_ours}. Run it where that is, or make it anew "
            f"with this Python on a system such as this"
        )
    if not python_satisfies(requires_python):
        return f"needs Python {requires_python}, and this is Python {_running_python()}. Run it with another Python"
    return None


def _running_python() -> str:
    return ".".join(map(str, sys.version_info[:3]))
