"""Bytecode for the modules of an image, compiled here by a Python of its version.

Without it each start of a container compiles what it imports, anew, for seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType

from ...locations import Loc
from ..environments.uv import run_uv
from ..runtime.errors import CommandFailed
from ..runtime.whole_files import make_private_folder, write_whole
from .bytecode_worker import unchecked_bytecode

__all__ = ["Interpreter", "bytecode_path", "compile_files", "compile_texts"]

_WORKER = Path(__file__).with_name("bytecode_worker.py")
DELIVERED = "<delivered>"
"""The path in the bytecode of modules of a package; Python puts the real one in."""

_FEW = 20
_AT_ONCE = max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine: its version, `3.11`, its program, and the tag of its bytecode, `cpython-311`."""

    version: str
    executable: str
    cache_tag: str

    @classmethod
    def of_version(cls, version: str) -> Interpreter:
        """The running Python, or one of another version that uv finds here. Raises `DependencyProblem`; downloads none."""
        if version == "{}.{}".format(*sys.version_info[:2]) and sys.implementation.name == "cpython":
            return cls(version, sys.executable, sys.implementation.cache_tag or "")
        found = run_uv(
            ["python", "find", "--system", "--no-project", version],
            purpose=f"looking for Python {version}, which compiles for an image with it (uv python install {version} brings it),",
        )
        return cls(version, found.strip(), f"cpython-{version.replace('.', '')}")


def bytecode_path(module: str, interpreter: Interpreter) -> str:
    """Where the bytecode of `a/b.py` lies (PEP 3147): `a/__pycache__/b.cpython-311.pyc`."""
    folder, _, name = module.rpartition("/")
    return f"{folder + '/' if folder else ''}__pycache__/{name.removesuffix('.py')}.{interpreter.cache_tag}.pyc"


def compile_files(files: Sequence[tuple[Path, str, Path]], interpreter: Interpreter) -> None:
    """Compile files, given as source, path in the image, and where to write; several at once."""
    by_size = sorted(files, key=lambda file: file[0].stat().st_size, reverse=True)
    shares = [share for number in range(_AT_ONCE) if (share := by_size[number::_AT_ONCE])]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda share: _run_worker(share, interpreter), shares))


def compile_texts(texts: Mapping[str, tuple[str, bytes]], interpreter: Interpreter) -> dict[str, bytes]:
    """The bytecode of modules, given by their paths with the SHA-256 and the bytes of each; by path, as far as they parse.

    What is known from the last time is not compiled again: it depends on the source alone, since Python puts the path of
    the source in when it loads the bytecode.
    """
    known = _Known(interpreter)
    missing = {sha256: text for sha256, text in texts.values() if sha256 not in known.code}
    if missing:
        found = {}
        if len(missing) <= _FEW and interpreter.executable == sys.executable:
            found = {sha256: code for sha256, text in missing.items() if (code := _compiled_here(text)) is not None}
        found.update(_compiled_by_worker({one: text for one, text in missing.items() if one not in found}, interpreter))
        known.add(found, keep={sha256 for sha256, _ in texts.values()})
    return {path: known.code[sha256] for path, (sha256, _) in texts.items() if known.code[sha256]}


def _compiled_by_worker(texts: Mapping[str, bytes], interpreter: Interpreter) -> dict[str, bytes]:
    """Bytecode of modules by the SHA-256 of their texts; nothing for what does not parse."""
    if not texts:
        return {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for sha256, text in texts.items():
            (folder / f"{sha256}.py").write_bytes(text)
        compile_files([(folder / f"{one}.py", DELIVERED, folder / one) for one in texts], interpreter)
        return {one: (folder / one).read_bytes() if (folder / one).exists() else b"" for one in texts}


def _compiled_here(text: bytes) -> bytes | None:
    """The same bytes without the worker, whose start takes longer than the few modules that a change has changed.

    `None` where they could differ: a set of constants is written in an order that this process was started with.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = compile(text, DELIVERED, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError):
            return b""
    return None if _has_set(code) else unchecked_bytecode(text, code)


def _has_set(constant: object) -> bool:
    if isinstance(constant, CodeType):
        return any(map(_has_set, constant.co_consts))
    return isinstance(constant, frozenset) or (isinstance(constant, tuple) and any(map(_has_set, constant)))


class _Known:
    """Bytecode by the SHA-256 of its source, in one file for each Python; nothing for what does not parse."""

    def __init__(self, interpreter: Interpreter) -> None:
        tool = hashlib.sha256(_WORKER.read_bytes() + interpreter.executable.encode()).hexdigest()[:16]
        self._path = Loc.cache / f"bytecode-{interpreter.cache_tag}-{tool}"
        self.code: dict[str, bytes] = {}
        try:
            data = self._path.read_bytes()
            head, _, body = data.partition(b"\n")
            position = 0
            for sha256, size in json.loads(head):
                self.code[sha256] = body[position : position + size]
                position += size
            if position != len(body):
                self.code = {}
        except (OSError, ValueError, TypeError):
            self.code = {}

    def add(self, found: Mapping[str, bytes], keep: Iterable[str]) -> None:
        """Add bytecode, and write the file with it and `keep`: versions that nobody delivers any more drop out."""
        self.code.update(found)
        kept = {sha256: self.code[sha256] for sha256 in sorted(keep)}
        head = json.dumps([(sha256, len(code)) for sha256, code in kept.items()]).encode()
        with suppress(OSError):  # no place to write it: it is compiled again
            make_private_folder(self._path.parent)
            write_whole(self._path, lambda file: file.write(head + b"\n" + b"".join(kept.values())))


def _run_worker(files: Sequence[tuple[Path, str, Path]], interpreter: Interpreter) -> None:
    # Not -I, which would ignore PYTHONHASHSEED; and not by its path, or the modules beside it would come before Python's.
    command = [interpreter.executable, "-s", "-S", "-B", "-c", _WORKER.read_text("utf-8")]
    jobs = "".join(json.dumps([str(source), path, str(target)]) + "\n" for source, path, target in files)
    environment = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=os.sep, env=environment, input=jobs, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandFailed(
            f"compiling for Python {interpreter.version} failed with status {done.returncode}:\n{done.stderr.strip()}",
            command=command[:4],
            return_code=done.returncode,
            stdout=done.stdout,
            stderr=done.stderr,
        )
