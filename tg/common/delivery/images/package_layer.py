"""The package layer: an unpacked package on top of its dependencies, and the folders that a run writes to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..environments.lock import Lock
from ..environments.platform import Platform
from .blob import Layer
from .bytecode import Interpreter, bytecode_path, compile_texts
from .image_paths import BOUNDED_RESULT, HOME, PREFIX, TEMPORARY, USER, site_packages
from .layer_writer import LayerFile, write_layer

__all__ = ["BuiltPackage", "PackageFile", "package_layer"]


_OF_THE_SENDER = re.compile(
    r"tg/common/(?:cli|delivery/(?:cluster|delivery|environments|execution|images|inspection|isolation|serving|trust))/(?!__init__\.py|example_job\.py)"
)
"""Modules of ours that no run imports. An engine takes a layer by its files, so each that it need not have is time."""

_MAPPED_BYTES = 64 * 1024  # a smaller file of a package is in memory, where nobody changes it


@dataclass(frozen=True)
class PackageFile:
    """A file of a package: its path in it (`UID/tg/x.py`), its bytes, their SHA-256 in hexadecimal digits."""

    path: str
    data: bytes | memoryview
    sha256: str
    executable: bool = False


@dataclass(frozen=True)
class BuiltPackage:
    """A package as a value, for what makes an image of it: names, needs, files.

    `digest` is that of the package's content, `sha256:…`; `files` are those of its wheel; `locks` the texts of its locks by
    the names of their files. `tag` (PEP 425) and `libc` say what its compiled code is for.
    """

    name: str
    version: str
    module_name: str
    digest: str
    requirements: tuple[str, ...]
    requires_python: str
    files: Sequence[PackageFile]
    roots: tuple[str, ...] = ("tg",)
    locks: Mapping[str, str] = field(default_factory=dict)
    tag: str = "py3-none-any"
    libc: str = ""

    def lock_for(self, python: str, platform: Platform) -> Lock | None:
        """What its requirements were resolved to when it was made, for a Python (`3.11`) and a platform."""
        return Lock.among(self.locks, python, platform, self.requirements)


def package_layer(package: BuiltPackage, interpreter: Interpreter) -> Layer:
    """The layer that changes with every change of the code. Modules that a run can import have bytecode."""
    base = site_packages(interpreter.version)
    files = [
        LayerFile(
            f"{base}/{one.path}",
            one.data,
            executable=one.executable,
            sha256=one.sha256 if len(one.data) >= _MAPPED_BYTES else None,
        )
        for one in package.files
    ]
    texts = {
        one.path: (one.sha256, bytes(one.data))
        for one in package.files
        if one.path.endswith(".py") and not _OF_THE_SENDER.match(one.path.partition("/")[2])
    }
    for path, code in compile_texts(texts, interpreter).items():
        files.append(LayerFile(f"{base}/{bytecode_path(path, interpreter)}", code))
    # As /tmp: a run can be given the user whose files it mounts, and that one has to write as well.
    files.append(LayerFile(HOME, mode=0o1777, owner=USER))
    files += [LayerFile(path, mode=0o1777, owner=USER) for path in (TEMPORARY.rpartition("/")[0], TEMPORARY)]
    files.append(LayerFile(BOUNDED_RESULT.rpartition("/")[0]))
    files += [LayerFile(path, b"", mode=0o666) for path in (BOUNDED_RESULT, f"{BOUNDED_RESULT}.failure")]
    # Python asks for this folder when it looks for the user base, and it is there even without any dependency.
    files.append(LayerFile(f"{PREFIX}/bin"))
    return write_layer(files, f"package: {package.module_name}")
