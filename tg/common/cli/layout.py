"""The layout of a project: its files, by their paths, as `tg init` writes them."""

from __future__ import annotations

__all__ = ["files_of"]

_FILES = {
    "tg/LIBRARY/__init__.py": '"""What this project delivers. All of tg/ travels with a package, and nothing that is not in it."""\n',
    "tg/LIBRARY/words.py": '''\
"""Words of a text: a part that the job is made of."""

from __future__ import annotations

import re


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())
''',
    "tg/LIBRARY/job.py": '''\
"""The job: an object with a method `run`. Where it runs, it has exactly this source."""

from __future__ import annotations

from collections import Counter

from tg.common import Logger

from .words import words_of


class CountWords:
    """Counts the words of some texts."""

    def __init__(self, texts: list[str], most: int = 3) -> None:
        self.texts = texts
        self.most = most

    def run(self) -> dict[str, int]:
        """The most frequent words, and how often each is there."""
        Logger.info(f"Counting the words of {len(self.texts)} texts")
        counted = Counter(word for text in self.texts for word in words_of(text))
        return dict(counted.most_common(self.most))


job = CountWords(["A rose is a rose", "and a thorn is a thorn"])
''',
    "routine.py": '''\
"""The routine: one call takes care of the whole delivery of a job, so that running it elsewhere is one word.

    python routine.py                     in a clean process
    python routine.py docker              in a container
    python routine.py ssh://me@server     in a container on a server
"""

from __future__ import annotations

import sys

from tg.common.delivery.delivery import Packaging
from tg.common.delivery.execution import DockerExecutor, Executor, ProcessExecutor, watch
from tg.LIBRARY.job import job


class Routine:
    """Delivers a job under a name, and runs it in a place."""

    def __init__(self, name: str, place: str = "process") -> None:
        self.name = name
        self.place = place

    def execute(self, job: object) -> object:
        packaging = Packaging(name=self.name, payload={"job": job}, dependencies="auto")
        packaging.silent = True
        return watch(self.executor().start(packaging))

    def executor(self) -> Executor:
        if self.place == "process":
            return ProcessExecutor()
        return DockerExecutor(host=None if self.place == "docker" else self.place)


if __name__ == "__main__":
    print(Routine("count_words", *sys.argv[1:2]).execute(job))
''',
    "tests/test_job.py": '''\
"""The job does here what it does where it is delivered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tg.common.delivery.delivery import Packaging, install_package_and_get_loader
from tg.LIBRARY.job import CountWords


def test_words_are_counted() -> None:
    assert CountWords(["a rose is a rose"], most=1).run() == {"a": 2}


def test_the_delivered_job_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TG_HOME", str(tmp_path))
    job = CountWords(["one two two"])
    packaging = Packaging(name="count_words", payload={"job": job}, dependencies="auto")
    packaging.silent = True
    packaging.make_package(tmp_path)

    delivered = install_package_and_get_loader(packaging.package_location, silent=True).load_resource("job")

    assert type(delivered) is not CountWords
    assert delivered.run() == job.run() == {"two": 2, "one": 1}
''',
    "pyproject.toml": """\
# tg/ has no __init__.py: tg.common, which is installed, and tg.LIBRARY, which is here, are parts of one namespace package.
[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
addopts = ["--import-mode=importlib"]
consider_namespace_packages = true

[tool.mypy]
explicit_package_bases = true
namespace_packages = true
mypy_path = "$MYPY_CONFIG_FILE_DIR"
""",
    ".gitignore": "__pycache__/\n.pytest_cache/\ndist/\n",
    "README.md": """\
# PROJECT

`tg/LIBRARY/` is what is delivered; `tg/LIBRARY/job.py` has the job. Everything outside of `tg/` stays here.

```sh
python -m pytest                              # the tests, one of which delivers the job
tg run tg.LIBRARY.job:job                   # a package is made and run in a clean process
tg run tg.LIBRARY.job:job --in docker       # … in a container
tg package tg.LIBRARY.job:job               # the package, a file in dist/
tg inspect dist/*.whl                         # what is in it
python routine.py                             # the same delivery, as a program
tg doctor                                     # what is here of all that can be used
```

To make it yours: rename `tg/LIBRARY`, and write your own `run`.
""",
}


def files_of(library: str, project: str) -> dict[str, str]:
    """The text of each file of a project with that name and that library."""
    return {
        path.replace("LIBRARY", library): text.replace("LIBRARY", library).replace("PROJECT", project)
        for path, text in _FILES.items()
    }
