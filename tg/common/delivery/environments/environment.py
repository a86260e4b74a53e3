"""Environments: clean ones for runs, made once for each lock or set of requirements, by uv.

    ENVIRONMENTS/<digest>/      of the lock, or the requirements as they are written, the Python, and the machine's kind
    ENVIRONMENTS/tmp-…/         one being made; renamed when complete, so what has a digest for a name is whole

Any number of processes make one at once: one of them wins the rename, the others find theirs not needed. Requirements
that name no version get what is newest on that day, and keep it: remove the folder to have it made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ...locations import Loc
from ..runtime.whole_files import make_private_folder, sweep_unfinished, unfinished_folder
from .lock import Lock
from .uv import run_uv

__all__ = ["environment_for", "python_of"]

_DESCRIBE = "import json, os, sys; print(json.dumps([sys.implementation.cache_tag, sys.version, sys.base_prefix]))"


def environment_for(requirements: Sequence[str], lock: Lock | None = None, *, python: str = sys.executable) -> Path:
    """The folder of a virtual environment with these requirements (PEP 508) and what they need, and nothing else.

    With a `lock` of theirs it is what the lock says, proved by its hashes.

    Raises `DependencyProblem`, in the words of uv, when they cannot be had together.
    """
    wanted = sorted(set(requirements))
    kind = [*_description(python), sys.platform, os.uname().machine]
    digest = hashlib.sha256(json.dumps([[lock.digest] if lock else wanted, kind]).encode()).hexdigest()[:32]
    folder = Loc.environments / digest
    if not python_of(folder).exists():
        _make(folder, wanted, lock, python)
    return folder


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "bin" / "python"


def _description(python: str) -> list[str]:
    if python == sys.executable:
        return [sys.implementation.cache_tag or "", sys.version, sys.base_prefix]
    done = subprocess.run([python, "-c", _DESCRIBE], capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def _make(folder: Path, requirements: Sequence[str], lock: Lock | None, python: str) -> None:
    make_private_folder(folder.parent)
    sweep_unfinished(folder.parent)
    with unfinished_folder(folder.parent) as temporary:
        made = temporary / "environment"
        purpose = f"making an environment with {', '.join(requirements) or 'nothing in it'}"
        run_uv(["venv", "--quiet", "--relocatable", "--no-project", "--python", python, str(made)], purpose=purpose)
        into = ["pip", "install", "--quiet", "--python", str(python_of(made))]
        if lock is not None:
            listed = temporary / "lock.txt"
            listed.write_text(lock.text, encoding="utf-8")
            run_uv([*into, "--no-deps", "--require-hashes", "-r", str(listed)], purpose=purpose)
        elif requirements:
            run_uv([*into, "--", *requirements], purpose=purpose)
        if folder.exists() and not python_of(folder).exists():  # the Python it was made with is gone
            with suppress(FileNotFoundError):
                os.rename(folder, temporary / "broken")
        try:
            os.rename(made, folder)
        except OSError:
            if not python_of(folder).exists():  # otherwise another process was first
                raise
