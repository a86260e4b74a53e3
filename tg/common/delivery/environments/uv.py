"""uv: found, run and checked. What it says when it fails is the reason given."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from ...progress import working
from ..runtime.errors import DependencyProblem

__all__ = ["find_uv", "run_uv"]


def find_uv() -> str | None:
    """uv of this environment, or on the PATH."""
    try:
        from uv import find_uv_bin
    except ImportError:
        return shutil.which("uv")
    try:
        return str(find_uv_bin())
    except FileNotFoundError:
        return shutil.which("uv")


def run_uv(arguments: Sequence[str], *, purpose: str, input: str | None = None) -> str:
    """Run `uv ARGUMENTS` and return what it printed. `purpose` begins the error: "resolving numpy for …".

    Raises `DependencyProblem` when it is not there, or fails: then in its own words.
    """
    uv = find_uv()
    if uv is None:
        raise DependencyProblem(
            f"{purpose} is done by uv, which is not installed here. Install it (pip install uv).", problems=["uv"]
        )
    with working(purpose):
        # It would download a Python where it finds none of the version that it is asked to resolve for.
        done = subprocess.run(
            [uv, "--no-progress", "--no-python-downloads", *arguments],
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise DependencyProblem(f"{purpose} failed:\n{said}", problems=[said])
    return done.stdout
