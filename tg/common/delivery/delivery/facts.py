"""The facts of a package, `package.json`: what it is, what it needs, and what its parts hash to."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..runtime.names import UID

__all__ = ["FORMAT", "PackageFacts", "check_requires_python", "python_satisfies"]

FORMAT = 1
"""The version of the package format. It changes when a reader of the old format would misread the new one."""

_CLAUSE = re.compile(r"(>=|<=|==|!=|<|>|~=)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?")


@dataclass(frozen=True)
class PackageFacts:
    """What `package.json` says.

    `requires_python` is a specifier as in wheel metadata (`>=3.10`), `dependencies` are requirements (PEP 508) by the
    name of their list, `resources` the payload's keys, `content` and `source` SHA-256 digests in hexadecimal digits: of
    source, payload and needs together, which no UID is part of, and of the source tree alone.
    """

    uid: UID
    original_tg_import_path: str
    requires_python: str
    dependencies: Mapping[str, tuple[str, ...]]
    resources: tuple[str, ...]
    content: str
    source: str

    @property
    def module_name(self) -> str:
        """The UID as a module."""
        return str(self.uid)

    @property
    def tg_import_path(self) -> str:
        """The delivered source tree as a module."""
        return f"{self.uid}.tg"

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

    def requirements(self) -> list[str]:
        """All dependencies, each once, in their order."""
        return list(dict.fromkeys(one for names in self.dependencies.values() for one in names))

    def to_json(self) -> bytes:
        """The file's bytes."""
        content = {
            "format": FORMAT,
            **self.properties,
            "python": {"requires": self.requires_python, "built_with": ".".join(map(str, sys.version_info[:2]))},
            "dependencies": {name: list(requirements) for name, requirements in self.dependencies.items()},
            "resources": list(self.resources),
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
        requires = content["python"]["requires"]
        if not python_satisfies(requires):
            return f"needs Python {requires}, and this is Python {_running_python()}. Run it with another Python"
        return None

    @classmethod
    def from_json(cls, content: Any) -> PackageFacts:
        """Read back what `to_json` wrote. Raises `ValueError` or `KeyError` for anything else."""
        module_name, name, version = content["module_name"], content["name"], content["version"]
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
        )


def _running_python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


def check_requires_python(specifier: str) -> None:
    """Raise `ValueError` unless this is a specifier of releases, such as `>=3.10,<3.13`."""
    for clause in specifier.split(","):
        if not _CLAUSE.fullmatch(clause.strip()):
            raise ValueError(f"{clause.strip()!r} is not a version specifier such as '>=3.10'")


def python_satisfies(specifier: str) -> bool:
    """Whether the Python that runs is one of those that a specifier (PEP 440, releases only) names."""
    check_requires_python(specifier)
    return all(_holds(*match.groups()) for match in _CLAUSE.finditer(specifier))


def _holds(operator: str, release: str, wildcard: str | None) -> bool:
    wanted = tuple(map(int, release.split(".")))
    running = tuple(sys.version_info[:3])
    begin = running[: len(wanted)]
    if operator == "~=":
        return running >= wanted and running[: len(wanted) - 1] == wanted[:-1]
    if operator in ("==", "!="):
        same = begin == wanted if wildcard else running == wanted + (0,) * (3 - len(wanted))
        return same == (operator == "==")
    padded = wanted + (0,) * (3 - len(wanted))
    return {">=": running >= padded, "<=": running <= padded, ">": running > padded, "<": running < padded}[operator]
