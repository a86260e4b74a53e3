"""Packages in processes of their own: with what they need, beside others that need something else."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from projects import Project

from tg.common.delivery.delivery import EntryPoint, install_package_and_get_loader, uninstall
from tg.common.delivery.environments.environment import environment_for
from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint
from tg.common.delivery.runtime.errors import DependencyProblem, IncompatiblePackage, PackageNotFound, WorkerEnded
from tg.common.delivery.trust import Policy
from tg.common.locations import Loc

pytestmark = pytest.mark.usefixtures("unchecked")

Isolate = Callable[..., IsolatedEntryPoint]

JOB = """
class Job:
    def run(self):
        return "one"
"""
VERSION_OF = """
from importlib.metadata import version

class Job:
    def __init__(self, needed):
        self.needed = needed

    def run(self):
        return version(self.needed)
"""
SUM = """
import numpy

class Job:
    def run(self, rows):
        return numpy.__version__, rows.sum(axis=0)
"""


def test_two_versions_of_a_dependency_work_at_the_same_time(isolate: Isolate) -> None:
    old = isolate(VERSION_OF, job="Job('boltons')", name="old", requirements=("boltons==23.0.0",)).load_resource("job")
    new = isolate(VERSION_OF, job="Job('boltons')", name="new", requirements=("boltons==24.0.0",)).load_resource("job")
    assert [job.run() for job in (old, new, old)] == ["23.0.0", "24.0.0", "23.0.0"]
    assert "boltons" not in sys.modules


# NumPy 1 has no wheels for Python 3.13, where the two are of 2.
@pytest.mark.parametrize("requirement", ["numpy<2" if sys.version_info < (3, 13) else "numpy==2.1.3", "numpy>=2.2"])
def test_arrays_cross_between_different_versions_of_numpy(isolate: Isolate, requirement: str) -> None:
    job = isolate(SUM, requirements=(requirement,)).load_resource("job")
    big = np.arange(100_000.0).reshape(50_000, 2)
    for rows in (
        big,
        np.asfortranarray(big),
        big[::2],
        big[:3],
        big.astype(">i4"),
        big.astype("datetime64[s]").view(int),
    ):
        version, total = job.run(rows)
        assert version.startswith(
            requirement.removeprefix("numpy==") if "==" in requirement else "12"["<" not in requirement]
        )
        assert isinstance(total, np.ndarray)
        assert np.array_equal(total, rows.sum(axis=0))


def test_an_isolated_entry_point_has_the_facts_of_its_package(isolate: Isolate) -> None:
    entry_point = isolate(JOB)
    assert isinstance(entry_point, EntryPoint)
    assert (entry_point.name, entry_point.version, entry_point.module_name) == ("my_job", "1.0.0", "my_job__1_0_0")
    assert (entry_point.tg_import_path, entry_point.original_tg_import_path) == ("my_job__1_0_0.tg", "tg")
    assert entry_point.resources == ["job"]


def test_nothing_of_an_isolated_package_is_in_this_process(isolate: Isolate) -> None:
    path, modules = list(sys.path), set(sys.modules)
    assert isolate(JOB).load_resource("job").run() == "one"
    assert sys.path == path
    assert [name for name in set(sys.modules) - modules if name.startswith("my_job")] == []


def test_the_same_version_can_be_loaded_here_and_in_a_worker(project: Project, isolate: Isolate) -> None:
    worker = isolate("import os\nclass Job:\n    def run(self):\n        return os.getpid()\n")
    here = install_package_and_get_loader(project.deliver(), silent=True)
    try:
        assert here.load_resource("job").run() != worker.load_resource("job").run()
        assert here.module_name == worker.module_name
    finally:
        here.unload()


def test_the_worker_finds_neither_the_project_nor_the_folder_it_runs_in(
    isolate: Isolate, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(project.folder))
    job = isolate("""
        import importlib.util, json, os
        class Job:
            def run(self):
                return importlib.util.find_spec("t" + "g"), os.getcwd()
    """).load_resource("job")
    assert job.run() == (None, str(tmp_path))


def test_an_environment_is_made_once_for_all_that_need_the_same(isolate: Isolate) -> None:
    wanted = ("boltons==24.0.0",)
    isolate(VERSION_OF, job="Job('boltons')", name="first", requirements=wanted)
    before = environment_for(wanted).stat()
    isolate(VERSION_OF, job="Job('boltons')", name="second", requirements=wanted)
    after = environment_for(wanted).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_files_of_an_environment_are_hard_links_into_the_cache_of_uv(isolate: Isolate) -> None:
    isolate(VERSION_OF, job="Job('boltons')", requirements=("boltons==24.0.0",))
    files = list(Loc.environments.glob("*/lib/python*/site-packages/boltons/mathutils.py"))
    assert files
    assert all(file.stat().st_nlink > 1 for file in files)


def test_a_dependency_that_was_not_declared_is_missed_with_what_to_do(isolate: Isolate) -> None:
    job = isolate("class Job:\n    def run(self):\n        import iniconfig\n").load_resource("job")
    with pytest.raises(ModuleNotFoundError) as missed:
        job.run()
    assert str(missed.value) == (
        "No module named 'iniconfig', where my_job__1_0_0 is at work: that environment has the dependencies of the package and nothing "
        "else. Declare what brings it, or make the package with dependencies='auto'."
    )


def test_requirements_that_cannot_be_had_together_are_told_before_anything_is_started(isolate: Isolate) -> None:
    with pytest.raises(DependencyProblem, match="boltons"):
        isolate(JOB, requirements=("boltons==24.0.0", "boltons<24"))


def test_a_package_that_was_made_before_there_were_workers_says_to_make_it_again() -> None:
    [file] = Path(__file__, "../../packages/format-1-made-by-3.10").resolve().glob("*.whl")
    with pytest.raises(IncompatiblePackage, match="Make it again"):
        install_package_and_get_loader(file, silent=True, policy=Policy.any(), isolated=True)


def test_a_package_that_speaks_another_protocol_says_to_make_it_again(isolate: Isolate) -> None:
    entry_point = isolate(JOB)
    entry_point.unload()
    channel = entry_point.resources_location.parent / "tg/common/delivery/runtime/channel.py"
    text = channel.read_text("utf-8")
    channel.unlink()  # the store's files are shared and read-only
    channel.write_text(text.replace("PROTOCOL = 1\n", "PROTOCOL = 99\n"), "utf-8")
    with pytest.raises(IncompatiblePackage, match=r"protocol 99 .* Make it again"):
        entry_point.load_resource("job")


def test_an_isolated_package_is_not_to_be_without_its_dependencies(project: Project) -> None:
    with pytest.raises(ValueError, match="install_dependencies"):
        install_package_and_get_loader(project.deliver(), isolated=True, install_dependencies=False)  # type: ignore[call-overload]


def test_a_resource_that_is_not_there_is_named_with_those_that_are(isolate: Isolate) -> None:
    with pytest.raises(PackageNotFound, match="The package has: job"):
        isolate(JOB).load_resource("weights")


def test_plain_data_come_as_they_are_and_what_does_something_stays(project: Project, isolate: Isolate) -> None:
    project.write("tg/my/more.py", "from decimal import Decimal\nDATA = {'a': [1, (2, b'3')], 'b': Decimal('0.1')}\n")
    entry_point = isolate("from .more import DATA\nimport functools\npartial = functools.partial(max, 3)", job="DATA")
    assert entry_point.load_resource("job") == {"a": [1, (2, b"3")], "b": Decimal("0.1")}
    stays = isolate("import functools\npartial = functools.partial(max, 3)", job="partial", name="other")
    assert type(stays.load_resource("job")).__name__ == "Proxy[partial]"
    assert stays.load_resource("job")(5) == 5


def test_after_unload_proxies_say_so_and_loading_starts_another_worker(isolate: Isolate) -> None:
    entry_point = isolate("import os\nclass Job:\n    def run(self):\n        return os.getpid()\n")
    job = entry_point.load_resource("job")
    first = job.run()
    entry_point.unload()
    entry_point.unload()
    with pytest.raises(WorkerEnded, match="was ended"):
        job.run()
    assert entry_point.load_resource("job").run() != first


def test_an_isolated_package_is_uninstalled_as_any_other(isolate: Isolate) -> None:
    entry_point = isolate(JOB)
    job = entry_point.load_resource("job")
    uninstall(entry_point)
    assert not entry_point.resources_location.exists()
    with pytest.raises(WorkerEnded):
        job.run()


def test_the_entry_point_is_the_worker_s_own_where_a_job_gets_it(isolate: Isolate) -> None:
    entry_point = isolate("""
        class Job:
            def run(self, entry_point):
                return type(entry_point).__module__, type(entry_point.load_resource("job")) is type(self)
    """)
    module = "my_job__1_0_0.tg.common.delivery.runtime.entry_point"
    assert entry_point.load_resource("job").run(entry_point=entry_point) == (module, True)


def test_a_file_in_the_package_s_names_is_read_into_local_classes(isolate: Isolate, tmp_path: Path) -> None:
    entry_point = isolate("""
        import pickle
        class Job:
            def run(self, file):
                with open(file, "wb") as opened:
                    pickle.dump({"answer": 42}, opened)
    """)
    entry_point.load_resource("job").run(tmp_path / "answer")
    assert entry_point.load_file_in_local_tg(tmp_path / "answer") == {"answer": 42}


def test_what_makes_workers_is_no_part_of_loading_a_package(project: Project) -> None:
    file = project.deliver()
    with zipfile.ZipFile(file) as wheel:
        names = wheel.namelist()
    assert "my_job__1_0_0/tg/common/delivery/runtime/worker.py" in names
    printed = project.run(f"""
        import json, sys
        from tg.common.delivery.delivery import install_package_and_get_loader
        install_package_and_get_loader({str(file)!r}, silent=True).load_resource("job").run()
        print(json.dumps([name for name in sys.modules if "isolation" in name or name.endswith("runtime.worker")]))
    """)
    assert json.loads(printed) == []
