"""Two versions of the same modules in one process: whose code runs?

The job's module says which version it is, and so does another that the job imports late, inside a function. Version A is
loaded, then version B; then each is asked for both.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from .peers import PYTHON, SYSTEMS, needs_environment
from .samples import Observation, SampleFailed, sample

ALL = {**SYSTEMS, "plain_wheel": "a plain wheel, pip installs B over A", "zipapp": "zip archives on sys.path"}
JOB = '''\
"""A job that needs one more module than shows at its top."""

VERSION = "{version}"


class Job:
    def run(self):
        return self.early(), self.late()

    def early(self):
        return VERSION

    def late(self):
        from .late import VERSION

        return VERSION
'''


def measure(rounds: int, *, quick: bool = False) -> list[Observation]:
    needs_environment()
    return [Observation({"system": name, **_seen(system)}) for system, name in ALL.items()]


def _seen(system: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as temporary:
        project, home = Path(temporary, "project"), Path(temporary, "home")
        folders = []
        try:
            for version in "AB":
                folders.append(Path(temporary, version))
                folders[-1].mkdir()
                _write(project, version)
                build = ("-m", "benchmarks.sample_versions", system, "build", str(folders[-1]))
                sample(*build, path=[project], home=home, python=str(PYTHON))
            load = ("-m", "benchmarks.sample_versions", system, "load", *map(str, folders))
            seen = sample(*load, home=home, python=str(PYTHON))
        except SampleFailed as error:
            return {"not measured": error.reason}
    said = {
        f"{version}: {what}": seen[version][key]
        for version in "AB"
        for key, what in (("early", "the job's module"), ("late", "imported late"))
    }
    return {**said, "right": "✓" if all(answer == head[0] for head, answer in said.items()) else "✗"}


def _write(project: Path, version: str) -> None:
    bench = project / "tg/bench"
    bench.mkdir(parents=True, exist_ok=True)
    (bench / "__init__.py").write_text("")
    (bench / "job.py").write_text(JOB.format(version=version))
    (bench / "late.py").write_text(f'"""Imported late."""\n\nVERSION = "{version}"\n')
