"""Dependency layers: a lock, installed by uv for the image's platform, as layers that all jobs with these pins share.

A big distribution has a layer of its own, so that adding one moves one; the small ones are one layer together. Each is
kept by what it is made of, and made once.

What is decided: everything is owned by root and can be read by all. Scripts find Python by its name on the PATH, since
where it lies is the base image's affair. `.pth` files are kept; they are executed, as Python does it in any user base.
Symbolic links inside stay links. Modules get bytecode, but for those in folders of tests, which nobody imports there.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ...locations import Loc
from ..environments.lock import Lock, Pin
from ..environments.uv import run_uv
from ..runtime.whole_files import make_private_folder, write_whole
from .blob import LAYER, Blob, Layer, blob_file
from .bytecode import Interpreter, bytecode_path, compile_files
from .image_paths import PREFIX, python_command, site_packages
from .layer_writer import LayerFile, write_layer

__all__ = ["dependency_layers", "kept_layers"]

FORMAT = 1
"""It changes when layers made of the same pins get other bytes."""

BIG_BYTES = 8 * 1024 * 1024

_SHEBANG = re.compile(rb"\A#!(?:/bin/sh\n'''exec' [^\n]*\n' '''|[^\n]*python[^\n]*)\n")
"""Of a first line alone: programs have such texts among their data."""
_TESTS = re.compile(r"/tests?/")


@dataclass(frozen=True)
class _Group:
    """Pins that are one layer, by the digest of all that decides its bytes."""

    key: str
    pins: tuple[Pin, ...]

    @property
    def title(self) -> str:
        return " ".join(pin.requirement for pin in self.pins)


def dependency_layers(lock: Lock, interpreter: Interpreter) -> tuple[Layer, ...]:
    """The layers of a lock's wheels, in the order of their names, the small ones last.

    `interpreter` compiles them; it is of the image's version. Raises `DependencyProblem` when uv cannot install one.
    """
    if (layers := kept_layers(lock)) is not None:
        return layers
    make_private_folder(Loc.images / "blobs/sha256")
    with TemporaryDirectory(dir=Loc.images, prefix="tmp-") as name:
        folder = Path(name)
        installed = _install(lock, folder, interpreter)
        groups = _groups(lock, installed, folder / "prefix")
        missing = [group for group in groups if _kept(group.key) is None]
        _compile([path for group in missing for path in _paths(group, installed)], folder, interpreter)
        with ThreadPoolExecutor(2) as pool:  # compressing and hashing give up the interpreter's lock
            list(pool.map(lambda group: _write(group, _paths(group, installed), folder, interpreter), missing))
    _note(f"lock-{lock.digest}", [group.key for group in groups])
    return tuple(layer for group in groups if (layer := _kept(group.key)) is not None)


def kept_layers(lock: Lock) -> tuple[Layer, ...] | None:
    """The layers of a lock as they were made before; `None` where one is still to be made."""
    keys = (_noted(f"lock-{lock.digest}") or []) if lock.wheels else []
    layers = [layer for key in keys if (layer := _kept(key)) is not None]
    return None if len(layers) < len(keys) or (lock.wheels and not keys) else tuple(layers)


def _install(lock: Lock, folder: Path, interpreter: Interpreter) -> dict[str, list[str]]:
    """Install into `folder/prefix`; what each distribution has there, as paths below it, by its RECORD (PEP 376).

    The prefix is a virtual environment, whose layout is the same for every Python; files are linked to uv's cache.
    """
    listed, prefix = folder / "lock.txt", folder / "prefix"
    listed.write_text("".join(pin.text for pin in lock.wheels), encoding="utf-8")
    purpose = f"installing {len(lock.wheels)} distributions for Python {lock.python} on {lock.platform}"
    run_uv(["venv", "--quiet", "--no-project", "--python", interpreter.executable, str(prefix)], purpose=purpose)
    target = ["--python", str(prefix), "--python-platform", lock.platform.uv_name]
    exactly = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(listed)]
    run_uv(["pip", "install", "--quiet", *target, *exactly], purpose=purpose)
    base = _below_prefix(site_packages(lock.python))
    found: dict[str, list[str]] = {}
    for record in (prefix / base).glob("*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as lines:
            paths = {os.path.normpath(os.path.join(base, row[0])) for row in csv.reader(lines) if row}
        name = re.sub(r"[-_.]+", "-", record.parent.name.partition("-")[0]).lower()
        found[name] = sorted(path for path in paths if os.path.lexists(prefix / path))
    return found


def _groups(lock: Lock, installed: dict[str, list[str]], prefix: Path) -> list[_Group]:
    sizes = {name: sum((prefix / path).lstat().st_size for path in paths) for name, paths in installed.items()}
    big = {name for name, size in sizes.items() if size >= BIG_BYTES}
    small = tuple(pin for pin in lock.wheels if pin.name not in big)
    parts = [*((pin,) for pin in lock.wheels if pin.name in big), *([small] if small else [])]
    return [_Group(_key(lock, pins), pins) for pins in parts]


def _key(lock: Lock, pins: Sequence[Pin]) -> str:
    text = "\n".join([str(FORMAT), lock.python, lock.platform.uv_name, *(pin.text for pin in pins)])
    return hashlib.sha256(text.encode()).hexdigest()


def _paths(group: _Group, installed: dict[str, list[str]]) -> list[str]:
    return [path for pin in group.pins for path in installed.get(pin.name, ())]


def _compile(paths: Sequence[str], folder: Path, interpreter: Interpreter) -> None:
    """Bytecode for the modules among these files, into `folder/bytecode`, each at the place it has below the prefix."""
    jobs = []
    for path in paths:
        if path.endswith(".py") and path.startswith("lib/") and not _TESTS.search(path):
            target = folder / "bytecode" / bytecode_path(path, interpreter)
            target.parent.mkdir(parents=True, exist_ok=True)
            jobs.append((folder / "prefix" / path, f"/{PREFIX}/{path}", target))
    compile_files(jobs, interpreter)


def _write(group: _Group, paths: Sequence[str], folder: Path, interpreter: Interpreter) -> None:
    """Write a layer's blob, then the note that it is there."""
    prefix = folder / "prefix"
    scripts = {path: _script(prefix / path, interpreter) for path in paths if path.startswith("bin/")}
    files = []
    for path in paths:
        place = prefix / path
        content: bytes | Path = scripts.get(path, place)
        if path.endswith(".dist-info/RECORD"):
            content = _record(place, path, scripts)
        if place.is_symlink():
            files.append(LayerFile(f"{PREFIX}/{path}", link=os.readlink(place)))
        else:
            files.append(LayerFile(f"{PREFIX}/{path}", content, executable=bool(place.stat().st_mode & 0o111)))
        compiled = bytecode_path(path, interpreter)
        if path.endswith(".py") and (folder / "bytecode" / compiled).exists():
            files.append(LayerFile(f"{PREFIX}/{compiled}", folder / "bytecode" / compiled))
    written = folder / group.key
    layer = write_layer(files, f"dependencies: {group.title}", into=written)
    os.replace(written, Loc.images / layer.blob.file)
    _note(
        group.key,
        {
            "digest": layer.blob.digest,
            "size": layer.blob.size,
            "diff_id": layer.diff_id,
            "created_by": layer.created_by,
        },
    )


def _script(place: Path, interpreter: Interpreter) -> bytes:
    """A script with a first line that finds Python in the image, instead of the one it was installed with here."""
    return _SHEBANG.sub(b"#!/usr/bin/env %b\n" % python_command(interpreter.version).encode(), place.read_bytes())


def _record(place: Path, path: str, scripts: dict[str, bytes]) -> bytes:
    """RECORD with the hashes of the scripts as they are in the image."""
    base = os.path.dirname(os.path.dirname(path))
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    with place.open(encoding="utf-8", newline="") as rows:
        for row in sorted(row for row in csv.reader(rows) if row):
            script = scripts.get(os.path.normpath(os.path.join(base, row[0])))
            if script is not None:
                digest = base64.urlsafe_b64encode(hashlib.sha256(script).digest()).rstrip(b"=").decode()
                row = [row[0], f"sha256={digest}", str(len(script))]
            writer.writerow(row)
    return lines.getvalue().encode()


def _below_prefix(path: str) -> str:
    return path[len(PREFIX) + 1 :]


def _noted(key: str) -> list[str] | None:
    try:
        found = json.loads((Loc.images / "layers" / f"{key}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) else None


def _note(key: str, value: object) -> None:
    (Loc.images / "layers").mkdir(exist_ok=True)
    write_whole(Loc.images / "layers" / f"{key}.json", lambda file: file.write(json.dumps(value).encode()))


def _kept(key: str) -> Layer | None:
    """A layer that was made before, if its blob is still there."""
    try:
        noted = json.loads((Loc.images / "layers" / f"{key}.json").read_bytes())
        place = Loc.images / blob_file(noted["digest"])
        if place.stat().st_size != noted["size"]:
            return None
        return Layer(Blob.of_file(place, noted["digest"], LAYER), noted["diff_id"], noted["created_by"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
