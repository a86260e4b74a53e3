"""Makes a package with all that the format has, and what it leaves when it runs, to be kept: later versions must read them.

.venv-3.10/bin/python tests/packages/make.py

Run it at each release, on the oldest Python there is. It writes `VERSION-made-by-PYTHON/` beside this file:

- `everything-1.0.0-py3-none-any.whl`: two roots and the script's own class, names made at run time, data files, buffers, a plug-in, a
  dependency with locks for each Python, signed
- `signer.pub`: whose signature that is; the key is gone
- `wheels/`: the dependency
- `result.pickle`, `failed.pickle.failure`: what it writes when it runs
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from projects import Project  # noqa: E402
from wheels import write_wheel  # noqa: E402

from tg.common.cli.version import version  # noqa: E402

FILES = {
    "tg/my/__init__.py": "",
    "tg/my/colour.py": """
        import enum

        class Colour(enum.Enum):
            RED = 1
        """,
    "tg/my/job.py": """
        import importlib
        from dataclasses import dataclass, field
        from pathlib import Path

        import little
        import mycompany.scales
        from tg.my.colour import Colour

        @dataclass
        class Result:
            weight: float
            colour: Colour
            names: frozenset

        @dataclass
        class Job:
            scale: mycompany.scales.Scale
            numbers: bytes
            colour: Colour = Colour.RED
            names: set = field(default_factory=lambda: {"b", "a"})
            fails: bool = False

            def run(self):
                if self.fails:
                    raise ValueError("as it was asked for")
                late = importlib.import_module("mycompany.late").NAME
                note = Path(__file__).with_name("note.txt").read_text().strip()
                assert (late, note, little.VALUE) == ("late", "noted", 1)
                return Result(self.scale.weigh(len(self.numbers)), self.colour, frozenset(self.names))
        """,
    "tg/my/note.txt": "noted\n",
    "mycompany/__init__.py": "",
    "mycompany/late.py": "NAME = 'late'\n",
    "mycompany/scales.py": """
        class Scale:
            def __init__(self, unit):
                self.unit = unit

            def weigh(self, count):
                return count * self.unit
        """,
}
SCRIPT = """
import sys
from tg.common.delivery.delivery import DependencyList, Packaging
from tg.my.job import Job
from mycompany.scales import Scale

class Own:
    '''A class of the script that is run.'''

    def doubled(self, value):
        return 2 * value

if __name__ == "__main__":
    job = Job(Scale(0.5), bytes(100_000))
    payload = {"job": job, "own": Own(), "table": {"a": 1, "b": [2.5, None]}}
    packaging = Packaging("everything", "1.0.0", payload, [DependencyList("mine", ["little>=1"])], roots=["mycompany"])
    packaging.silent = True
    for python in ("3.10", "3.11", "3.12", "3.13"):
        packaging.lock(python, "linux/amd64")
    packaging.make_package(sys.argv[1])
    packaging.sign(sys.argv[2], sequence=1)
    failing = Packaging("failing", "1.0.0", {"job": Job(Scale(1), b"", fails=True)}, [DependencyList("mine", ["little>=1"])], roots=["mycompany"])
    failing.silent = True
    failing.make_package(sys.argv[3])
"""


def main() -> None:
    folder = HERE / f"{version()}-made-by-{sys.version_info[0]}.{sys.version_info[1]}"
    shutil.rmtree(folder, ignore_errors=True)  # of a version that is not released yet
    (folder / "wheels").mkdir(parents=True)
    little = write_wheel(folder / "wheels", "little", {"little.py": b"VALUE = 1\n"})
    with tempfile.TemporaryDirectory() as name:
        project = Project(Path(name))
        for path, text in FILES.items():
            project.write(path, text)
        script = project.write("deliver.py", SCRIPT)
        (project.elsewhere / "empty").mkdir()
        environment = {
            **project.environment(),
            "UV_DEFAULT_INDEX": (project.elsewhere / "empty").as_uri(),
            "UV_FIND_LINKS": str(little.parent),
            "UV_NO_CONFIG": "1",
        }
        installed = project.elsewhere / "installed"
        run([sys.executable, "-m", "zipfile", "-e", str(little), str(installed)], environment)
        environment["PYTHONPATH"] += os.pathsep + str(installed)
        tg = [sys.executable, "-m", "tg.common.cli"]
        key = project.elsewhere / "signing"
        run([*tg, "keys", "new", str(key), "--comment", "whoever made this"], environment)
        run([sys.executable, str(script), str(folder), str(key), str(project.elsewhere)], environment)
        (folder / "signer.pub").write_bytes(key.with_suffix(".pub").read_bytes())
        for package, result, succeeds in (
            (folder / "everything-1.0.0-py3-none-any.whl", "result.pickle", True),
            (project.elsewhere / "failing-1.0.0-py3-none-any.whl", "failed.pickle", False),
        ):
            module = f"{package.name.split('-')[0]}__1_0_0"
            unpacked = project.elsewhere / module
            run([sys.executable, "-m", "zipfile", "-e", str(package), str(unpacked)], environment)
            path = os.pathsep.join([str(unpacked), str(installed)])
            command = [sys.executable, "-m", module, "--result", str(folder / result)]
            run(command, {**environment, "PYTHONPATH": path}, succeeds=succeeds)
        (folder / "failed.pickle").unlink(missing_ok=True)
    print(*sorted(path.relative_to(HERE) for path in folder.rglob("*") if path.is_file()), sep="\n")


def run(command: list[str], environment: dict[str, str], *, succeeds: bool = True) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if (done.returncode == 0) != succeeds:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
