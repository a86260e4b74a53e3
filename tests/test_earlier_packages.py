"""Packages that earlier releases made must load for good: one for each release is kept in `packages/`; `packages/make.py` makes it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from projects import REPOSITORY, Project

from tg.common.delivery.delivery import inspect_package
from tg.common.delivery.trust import Policy, PublicKey

PACKAGES = Path(__file__).with_name("packages")
FIRST = PACKAGES / "format-1-made-by-3.10/my_job-1.0.0-py3-none-any.whl"
RELEASES = sorted(PACKAGES.glob("*/everything-*.whl"))

LOCAL_SOURCE = {
    "tg/my/__init__.py": "",
    "tg/my/colour.py": "import enum\nclass Colour(enum.Enum):\n    RED = 1\n",
    "tg/my/job.py": "class Result:\n    pass\n",
}


def test_there_is_one_of_this_release() -> None:
    version = re.search(r'^version = "(.+)"$', (REPOSITORY / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    assert f"{version[1]}-made-by-3.10" in [file.parent.name for file in RELEASES]


def test_the_first_of_all_loads_runs_and_keeps_its_answer(project: Project) -> None:
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        from tg.common.delivery.trust import Policy
        entry_point = install_package_and_get_loader({str(FIRST)!r}, silent=True, policy=Policy.any())
        print(entry_point.load_resource('job').run(), entry_point.resources)
        """,
        with_project=False,
    )
    assert printed.strip() == "('late', ['a', 'b'], 'RED', 2.5, 100000) ['job', 'numbers']"


@pytest.fixture(params=RELEASES, ids=[file.parent.name for file in RELEASES])
def everything(request: pytest.FixtureRequest, index: Path) -> Path:
    """A package with all that the format has; what it depends on is on the index."""
    file: Path = request.param
    for wheel in (file.parent / "wheels").iterdir():
        shutil.copyfile(wheel, index / wheel.name)
    return file


def test_what_it_says_of_itself_is_read(everything: Path) -> None:
    signer = PublicKey.load(everything.with_name("signer.pub"))
    report = inspect_package(everything, policy=Policy.signed_by({"everything": [signer]}))
    assert report.trusted, report.verdict
    assert report.signature is not None
    assert (report.signature.signer, report.signature.fits, report.signature.manifest.sequence) == (signer, True, 1)
    assert report.facts.roots == ("__main__", "mycompany", "tg")
    assert report.facts.requirements() == ["little>=1"]
    assert report.locks == tuple(f"3.{minor}-x86_64-manylinux_2_28" for minor in range(10, 14))
    assert [(one.key, one.buffers) for one in report.resources] == [("job", (100_000,)), ("own", ()), ("table", ())]
    assert report.marked == ()


@pytest.mark.parametrize("isolated", ["", ", isolated=True"])
def test_it_loads_and_runs(everything: Path, project: Project, index: Path, isolated: str) -> None:
    printed = project.run(
        f"""
        import sys
        from tg.common.delivery.delivery import install_package_and_get_loader
        from tg.common.delivery.trust import Policy, PublicKey
        policy = Policy.signed_by({{"everything": [PublicKey.load({str(everything.with_name("signer.pub"))!r})]}})
        {"" if isolated else f"sys.path.append({str(next(index.glob('little-*')))!r})"}
        entry_point = install_package_and_get_loader({str(everything)!r}, silent=True, policy=policy{isolated})
        result = entry_point.load_resource("job").run()
        print(result.weight, result.colour.name, sorted(result.names), entry_point.load_resource("own").doubled(4))
        print(entry_point.load_resource("table", dict))
        """,
        with_project=False,
    )
    assert printed.splitlines() == ["50000.0 RED ['a', 'b'] 8", "{'a': 1, 'b': [2.5, None]}"]


def test_what_it_has_returned_and_raised_is_read(everything: Path, project: Project) -> None:
    for path, text in LOCAL_SOURCE.items():
        project.write(path, text)
    printed = project.run(f"""
        from pathlib import Path
        from tg.common.delivery.execution.outcome import Outcome
        from tg.common.delivery.runtime.errors import JobFailed
        folder, package = Path({str(everything.parent)!r}), ("everything__1_0_0", ["little>=1"], ["tg", "mycompany"])
        result = Outcome("id", "where", 0).result(folder / "result.pickle", *package)
        print(type(result).__module__, result.weight, result.colour, sorted(result.names))
        try:
            Outcome("id", "where", 1).result(folder / "failed.pickle", *package)
        except JobFailed as error:
            print(error.error_type, str(error).splitlines()[0])
    """)
    assert printed.splitlines() == [
        "tg.my.job 50000.0 Colour.RED ['a', 'b']",
        "ValueError everything__1_0_0 raised ValueError: as it was asked for",
    ]
