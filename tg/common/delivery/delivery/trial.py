"""A trial: a package that is about to be written is loaded in a fresh interpreter, without the project on its path.

    TRIALS/<name>/package/UID/…     what is in the package, but for big buffers, which are mapped from the archive
    TRIALS/<name>/state.json        the UID, and the SHA-256 of each file; not there while files are being exchanged
    TRIALS/<name>/outcome.json      what went well the last time, and the modules that were imported for it

The folder is kept for the next time, with the bytecode in it: then only what has changed is written and compiled. When nothing of
what was imported has changed, nor anything else but modules, the outcome is that of the last time; but not where a declared
dependency is installed from a folder.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from ...locations import Loc
from ...progress import working
from ..runtime.whole_files import make_private_folder, one_at_a_time, write_whole
from .archive import Archive
from .wheel import Member

__all__ = ["Failure", "Trial"]

_PROGRAM = str(Path(__file__).with_name("trial_program.py"))
_SECONDS = 120
_SAID_BYTES = 16 * 1024
_LINKED_BYTES = 1024 * 1024
"""Data of this size and more are not written once more, but linked to where they are."""


@dataclass(frozen=True)
class Failure:
    """What loading a resource raised: the type, its message, the name of the module if it was one that is missing, and the
    last place in the package that it passed, as path in it and line."""

    type: str
    message: str
    module: str | None
    path: str | None
    line: int


@dataclass(frozen=True)
class Trial:
    """How it went: `failed` by the resource's name; `absolute` are imports by the plain name of a root, as name, path in the
    package and line; `elsewhere` what is pickled under such a name; `modules` the top-level ones that were imported.

    `crash` says how the interpreter ended, if it did not survive; `unknown` why there is nothing to tell.
    """

    failed: Mapping[str, Failure]
    absolute: tuple[tuple[str, str, int], ...]
    elsewhere: tuple[str, ...]
    modules: frozenset[str]
    crash: str = ""
    unknown: str = ""

    @classmethod
    def of(
        cls,
        uid: str,
        members: Sequence[Member],
        archive: Path,
        *,
        roots: Iterable[str],
        installed: Collection[str],
        declared: Iterable[str],
        places: Mapping[str, str],
        environment: str,
    ) -> Trial:
        """Load all resources of a package whose finished archive is given.

        `roots` are the plain names of its roots, `installed` the folders whose modules will be there, `declared` top-level
        modules that will be as well, `places` where files of the tree lie, by their paths in the package. `environment` is
        another text when other distributions are installed.
        """
        question = {
            "uid": uid,
            "roots": list(roots),
            "installed": list(installed),
            "declared": list(declared),
            "path": [entry for entry in sys.path if entry + os.sep in installed and os.path.isdir(entry)],
        }
        base, name = Loc.cache / "trials", uid.partition("__")[0]
        try:
            make_private_folder(base)
            with one_at_a_time(base, name):
                try:
                    outcome = _Outcome(base / name / "outcome.json", uid, members, [question, environment])
                    # What is installed from a folder is edited there, and nobody sees it.
                    if not question["declared"] and (modules := outcome.known()) is not None:
                        return cls({}, (), (), modules)
                    _Kept(base / name).bring_to(uid, members, places)
                    trial, imported = _answered(question, base / name / "package", members, archive)
                    if trial == cls({}, (), (), trial.modules):
                        outcome.remember(trial.modules, imported)
                    return trial
                except OSError:
                    shutil.rmtree(base / name, ignore_errors=True)  # half of it is of no use to whoever is next
                    raise
        except OSError as error:  # no place to write it, or no more processes
            return _without_answer(unknown=str(error))


class _Outcome:
    """What is remembered of a trial that found nothing."""

    def __init__(self, file: Path, uid: str, members: Iterable[Member], question: object) -> None:
        self._file = file
        self._hashes = {one.path.removeprefix(f"{uid}/"): one.digests.sha256 for one in members}
        rest = {path: sha256 for path, sha256 in self._hashes.items() if not path.endswith(".py")}
        rest.pop("package.json", None)  # it has the digest of everything in it
        key = json.dumps([question, sys.version, sorted(self._hashes), rest], sort_keys=True)
        self._key = hashlib.sha256(key.encode()).hexdigest()

    def known(self) -> frozenset[str] | None:
        """The top-level modules that were imported, if everything that mattered is as it was."""
        try:
            key, imported, modules = json.loads(self._file.read_bytes())
            same = key == self._key and all(self._hashes.get(path) == sha256 for path, sha256 in imported.items())
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        return frozenset(modules) if same else None

    def remember(self, modules: Iterable[str], imported: Iterable[str]) -> None:
        """`imported` are modules of the package, by their paths in it."""
        text = json.dumps([self._key, {path: self._hashes.get(path) for path in imported}, sorted(modules)])
        write_whole(self._file, lambda file: file.write(text.encode()))


class _Kept:
    """The folder of a trial, and what is known to be in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._package = folder / "package"
        self._state = folder / "state.json"

    def bring_to(self, uid: str, members: Iterable[Member], places: Mapping[str, str]) -> None:
        """See to it that it has these members and no others."""
        wanted = {
            one.path.partition("/")[2]: one
            for one in members
            if not (one.path.startswith(f"{uid}/resources/") and one.path.count("/") > 2)
        }
        uid_there, there = self._known()
        changed = [path for path, one in wanted.items() if there.get(path) != one.digests.sha256]
        gone = there.keys() - wanted.keys()
        if not (changed or gone or uid_there != uid):
            return
        self._state.unlink(missing_ok=True)
        (self._folder / "outcome.json").unlink(missing_ok=True)
        if not there:
            shutil.rmtree(self._folder, ignore_errors=True)
            make_private_folder(self._package)
            make_private_folder(self._folder / "elsewhere")
        elif uid_there != uid:
            os.rename(self._package / uid_there, self._package / uid)
        home = f"{self._package}/{uid}"
        for path in gone:
            _remove(f"{home}/{path}")
        for path in changed:
            if path in there:
                _remove(f"{home}/{path}")
            _put(f"{home}/{path}", wanted[path], places.get(path))
        state = [uid, {path: one.digests.sha256 for path, one in wanted.items()}]
        write_whole(self._state, lambda file: file.write(json.dumps(state).encode()))

    def _known(self) -> tuple[str, dict[str, str]]:
        try:
            uid, files = json.loads(self._state.read_bytes())
            if isinstance(files, dict) and (self._package / uid).is_dir():
                return uid, files
        except (OSError, ValueError, TypeError):  # none, or written by something else
            pass
        return "", {}


def _put(target: str, member: Member, place: str | None) -> None:
    make_private_folder(Path(target).parent)
    if place is not None and len(member.data) >= _LINKED_BYTES and not target.endswith(".py"):
        os.symlink(place, target)
        return
    with open(target, "wb", buffering=0) as file:
        os.fchmod(file.fileno(), 0o600)  # whatever the umask is
        file.write(member.data)


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
    if path.endswith(".py"):  # its bytecode goes by time and size, and a change can leave both as they were
        with suppress(FileNotFoundError):
            os.unlink(cache_from_source(path))


def _buffers(uid: str, members: Iterable[Member], archive: Path) -> dict[str, list[tuple[int, int]]]:
    """Where the buffers of resources lie in the archive, as offset and size, in their order."""
    folder = f"{uid}/resources/"
    paths = sorted(one.path for one in members if one.path.startswith(folder) and one.path.count("/") > 2)
    if not paths:
        return {}
    found: dict[str, list[tuple[int, int]]] = {}
    with archive.open("rb", buffering=0) as file:
        entries = Archive.of_file(file.fileno()).entries
    for path in paths:
        key = path.removeprefix(folder).partition(".buffers/")[0]
        found.setdefault(key, []).append((entries[path].data_offset, entries[path].size))
    return found


def _answered(
    question: Mapping[str, Any], package: Path, members: Sequence[Member], archive: Path
) -> tuple[Trial, list[str]]:
    """How it went, and the modules of the package that were imported, by their paths in it."""
    uid = question["uid"]
    buffers, folder = _buffers(uid, members, archive), f"{uid}/resources/"
    keys = [one.path.removeprefix(folder) for one in members if one.path.startswith(folder)]
    resources = [(key, buffers.get(key, [])) for key in keys if "/" not in key]
    asked = marshal.dumps({**question, "folder": str(package), "archive": str(archive), "resources": resources})
    # -I: nothing of the environment's PYTHONPATH, and no folder of the program's own.
    command = [sys.executable, "-I", "-W", "ignore", _PROGRAM]
    # No pipe for what is said: a process that the package starts has it as well, and may be there for longer than the trial.
    with tempfile.TemporaryFile() as errors:
        try:
            with working(f"loading {uid} in a fresh interpreter"):
                done = subprocess.run(
                    command,
                    input=asked,
                    cwd=package.parent / "elsewhere",
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    timeout=_SECONDS,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            return _without_answer(unknown=f"it took longer than {_SECONDS} seconds"), []
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _SAID_BYTES))
        said = errors.read().decode("utf-8", "backslashreplace").strip().splitlines()
    try:
        answer = marshal.loads(done.stdout)
    except (EOFError, ValueError, TypeError):
        return _without_answer(crash=f"{_ending(done.returncode)}{': ' if said else ''}{' '.join(said[-3:])}"), []
    own = f"{package}/{uid}/"

    def inside(file: str) -> str | None:
        return file[len(own) :] if file.startswith(own) else None

    failed = {}
    for key, error in answer["failed"].items():
        path, line = next(
            ((place, number) for file, number in reversed(error["frames"]) if (place := inside(file)) is not None),
            (None, 0),
        )
        failed[key] = Failure(error["type"], error["message"], error["name"], path, line)
    absolute = tuple((name, inside(file) or f"resources/{file}", line) for name, file, line in answer["absolute"])
    trial = Trial(failed, absolute, tuple(answer["elsewhere"]), frozenset(answer["modules"]))
    return trial, [path for file in answer["files"] if (path := inside(file)) is not None]


def _without_answer(*, crash: str = "", unknown: str = "") -> Trial:
    return Trial({}, (), (), frozenset(), crash, unknown)


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended with status {code}"
    with suppress(ValueError):
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it was killed by signal {-code}"
