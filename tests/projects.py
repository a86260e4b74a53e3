"""Temporary projects: a folder with its own `tg/`, and processes that run in it as a user's would."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


class Project:
    """Somebody's project: `tg/` and whatever lies beside it, a TG_HOME of its own, and an empty folder to run in.

    `checked` is said of the packages that `deliver` makes: whether they are loaded once before they are written.
    """

    def __init__(self, base: Path) -> None:
        self.folder = base / "myproject"
        self.home = base / "home"
        self.elsewhere = base / "elsewhere"
        self.checked = True
        for folder in (self.folder / "tg", self.elsewhere):
            folder.mkdir(parents=True)

    def write(self, path: str, text: str | bytes) -> Path:
        """Write a file of the project; text is dedented."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).lstrip("\n").encode())
        return file

    def environment(self, *, with_project: bool = True, with_delivery: bool = True) -> dict[str, str]:
        paths = [str(self.folder)] * with_project + [str(REPOSITORY)] * with_delivery
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TG_", "PYTHONPATH"))}
        # Bytecode goes by seconds and size, and a test writes a module twice within a second.
        ours = {"TG_HOME": str(self.home), "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**kept, **ours}

    def run(
        self,
        code: str,
        *,
        python: str = sys.executable,
        with_project: bool = True,
        with_delivery: bool = True,
        fails: bool = False,
        **environment: str,
    ) -> str:
        """Run code in a new process and return what it printed (with its errors, where it is to fail)."""
        script = self.elsewhere / f"script_{len(list(self.elsewhere.iterdir()))}.py"
        script.write_text(textwrap.dedent(code), encoding="utf-8")
        done = subprocess.run(
            [python, str(script)],
            cwd=self.elsewhere,
            env={**self.environment(with_project=with_project, with_delivery=with_delivery), **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode != 0) == fails, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr if fails else done.stdout

    def deliver(
        self,
        name: str = "my_job",
        version: str | None = "1.0.0",
        *,
        job: str = "tg.my.job:Job()",
        python: str = sys.executable,
        settings: str = "",
        **environment: str,
    ) -> Path:
        """Make a package of `job` (module:expression) in a process of its own; its file is returned."""
        module, _, expression = job.partition(":")
        printed = self.run(
            f"""
from {module} import *
from tg.common.delivery.delivery import DependencyList, Packaging
packaging = Packaging({name!r}, {version!r}, dict(job={expression}))
packaging.silent = True
packaging.checked = {self.checked}
{settings}
print(packaging.make_package().package_location)
""",
            python=python,
            **environment,
        )
        return Path(printed.splitlines()[-1])
