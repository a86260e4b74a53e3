"""Many versions in one process, and one taking the place of another."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path

import pytest
from projects import Project

pytestmark = pytest.mark.usefixtures("unchecked")

LATE_JOB = """
class Job:
    def run(self):
        from .late import answer
        return answer()
"""


WAYS = [
    "from . import late",
    "from tg.my import late",
    "import tg.my.late as late",
    "import tg.my.late; late = tg.my.late",
    "import importlib; late = importlib.import_module('.late', __package__)",
    "import importlib; late = importlib.import_module('tg.my.late')",
    "import importlib; late = importlib.import_module(__name__.rpartition('.')[0] + '.late')",
]


def late_versions(project: Project, *versions: str, settings: str = "") -> list[Path]:
    """Packages of a job that imports a module of its tree only when it runs; `late.py` differs in each."""
    files = []
    project.write("tg/my/job.py", LATE_JOB)
    for index, version in enumerate(versions):
        project.write("tg/my/late.py", f"def answer():\n    return 'code {index}'\n")
        file = project.deliver(version=version, settings=settings)
        files.append(file.rename(project.elsewhere / f"{index}-{file.name}"))
    return files


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Packages for the tests of this module, which change none: those of `late`, and those of `ways`."""
    project = Project(tmp_path_factory.mktemp("versions"))
    project.checked = False
    project.write("tg/my/__init__.py", "")
    late = late_versions(project, "1.0.0", "1.0.0", "1.0.1")
    apart = Project(tmp_path_factory.mktemp("ways"))
    apart.checked = False
    apart.write("tg/my/__init__.py", "")
    for number, way in enumerate(WAYS):
        body = f"        {way}\n        return late.answer()\n"
        apart.write(f"tg/my/way{number}.py", f"class Way:\n    def run(self):\n{body}")
    imports = ", ".join(f"way{number}" for number in range(len(WAYS)))
    payload = ", ".join(f"way{number}=way{number}.Way()" for number in range(len(WAYS)))
    settings = f"from tg.my import {imports}\npackaging.payload.update({payload})"
    return late, late_versions(apart, "1.0.0", "1.0.0", settings=settings)


@pytest.fixture
def late(project: Project, _made: tuple[list[Path], list[Path]]) -> list[Path]:
    """`late_versions` 1.0.0, 1.0.0 again and 1.0.1, made in another home (so `TG_POLICY="any"`); the project has another code."""
    project.write("tg/my/job.py", LATE_JOB)
    project.write("tg/my/late.py", "def answer():\n    return 'code of the project'\n")
    return _made[0]


@pytest.fixture
def ways(project: Project, late: list[Path], _made: tuple[list[Path], list[Path]]) -> list[Path]:
    """Two packages of one UID whose `way0` to `way6` import `late` in each of the `WAYS`."""
    return _made[1]


def test_two_versions_run_side_by_side_each_with_its_own_late_import(project: Project, late: list[Path]) -> None:
    first, _, second = late
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        one = install_package_and_get_loader({str(first)!r}, silent=True).load_resource('job')
        two = install_package_and_get_loader({str(second)!r}, silent=True).load_resource('job')
        print(one.run(), two.run(), type(one).__module__, type(two).__module__)
    """,
        TG_POLICY="any",
    )
    assert printed.split("\n")[0] == "code 0 code 2 my_job__1_0_0.tg.my.job my_job__1_0_1.tg.my.job"


def test_replacing_a_loaded_uid_gives_new_loads_the_new_code_and_leaves_old_objects_theirs(
    project: Project, late: list[Path]
) -> None:
    first, second, _ = late
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        one = install_package_and_get_loader({str(first)!r}, silent=True).load_resource('job')
        entry_point = install_package_and_get_loader({str(second)!r}, silent=True)
        two = entry_point.load_resource('job')
        print(one.run(), two.run(), one.run(), entry_point.load_resource('job').run())
        print(type(two).__module__, type(one) is type(two))
    """,
        TG_POLICY="any",
    )
    assert printed.splitlines() == ["code 0 code 1 code 0 code 1", "my_job__1_0_0.tg.my.job False"]


@pytest.mark.parametrize("way", range(len(WAYS)), ids=WAYS)
def test_every_way_to_import_late_keeps_to_its_own_version(project: Project, ways: list[Path], way: int) -> None:
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        one = install_package_and_get_loader({str(ways[0])!r}, silent=True).load_resource('way{way}')
        two = install_package_and_get_loader({str(ways[1])!r}, silent=True).load_resource('way{way}')
        print(two.run(), one.run())
    """,
        TG_POLICY="any",
    )
    assert printed.strip() == "code 1 code 0"


def test_folders_without_init_keep_to_their_own_version_too(project: Project) -> None:
    (project.folder / "tg/my/__init__.py").unlink()
    first, second = late_versions(project, "1.0.0", "1.0.0")
    printed = project.run(f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        one = install_package_and_get_loader({str(first)!r}, silent=True).load_resource('job')
        entry_point = install_package_and_get_loader({str(second)!r}, silent=True)
        print(one.run(), entry_point.load_resource('job').run(), one.run())
    """)
    assert printed.strip() == "code 0 code 1 code 0"


def test_an_entry_point_whose_version_was_replaced_still_loads_its_own_code(project: Project, late: list[Path]) -> None:
    first, second, _ = late
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        old = install_package_and_get_loader({str(first)!r}, silent=True)
        new = install_package_and_get_loader({str(second)!r}, silent=True)
        print(old.load_resource('job').run(), new.load_resource('job').run(), old.load_resource('job').run())
        again = install_package_and_get_loader({str(first)!r}, silent=True)
        print(again.load_resource('job').run(), new.load_resource('job').run())
    """,
        TG_POLICY="any",
    )
    assert printed.splitlines() == ["code 0 code 1 code 0", "code 0 code 1"]


def test_module_state_belongs_to_its_version_and_installing_again_keeps_it(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        "STATE = []\nclass Job:\n    def run(self):\n        STATE.append(1)\n        return len(STATE)\n",
    )
    first, second = project.deliver(version="1.0.0"), project.deliver(version="1.0.1")
    printed = project.run(f"""
        from tg.common.delivery.delivery import install_package_and_get_loader as install
        one = install({str(first)!r}, silent=True).load_resource('job')
        two = install({str(second)!r}, silent=True).load_resource('job')
        one.run(); one.run(); two.run()
        print(one.run(), two.run(), install({str(first)!r}, silent=True).load_resource('job').run())
    """)
    assert printed.strip() == "3 2 4"


def test_objects_of_a_replaced_version_can_be_pickled_and_read_back(project: Project, late: list[Path]) -> None:
    first, second, _ = late
    printed = project.run(
        f"""
        import pickle
        from tg.common.delivery.delivery import install_package_and_get_loader as install
        one = install({str(first)!r}, silent=True).load_resource('job')
        install({str(second)!r}, silent=True).load_resource('job')
        copy = pickle.loads(pickle.dumps(one))
        print(type(copy) is type(one), copy.run())
    """,
        TG_POLICY="any",
    )
    assert printed.strip() == "True code 0"


CHILDREN = """
import multiprocessing, sys
from tg.common.delivery.delivery import install_package_and_get_loader as install

def call(job):
    return job.run()

if __name__ == '__main__':
    first, second, third = {files!r}
    one = install(first, silent=True).load_resource('job')
    two = install(second, silent=True).load_resource('job')      # takes the place of the first: the same UID
    three = install(third, silent=True).load_resource('job')     # another UID
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        print(pool.map(call, [one, two, three, one]))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_of_multiprocessing_run_every_version_replaced_ones_too(
    project: Project, late: list[Path], method: str
) -> None:
    files = [str(file) for file in late]
    printed = project.run(CHILDREN.format(files=files, method=method), with_project=False, TG_POLICY="any")
    assert printed.strip() == "['code 0', 'code 1', 'code 2', 'code 0']"


def test_children_of_joblib_run_every_version_replaced_ones_too(project: Project, late: list[Path]) -> None:
    files = [str(file) for file in late]
    printed = project.run(
        f"""
        from joblib import Parallel, delayed
        from tg.common.delivery.delivery import install_package_and_get_loader as install

        def call(job):
            return job.run()

        if __name__ == '__main__':
            jobs = [install(file, silent=True).load_resource('job') for file in {files!r}]
            print(Parallel(n_jobs=2)(delayed(call)(job) for job in jobs))
        """,
        with_project=False,
        TG_POLICY="any",
    )
    assert printed.strip() == "['code 0', 'code 1', 'code 2']"


def test_unloading_takes_a_version_out_and_it_can_be_loaded_again(project: Project, late: list[Path]) -> None:
    first, _, second = late
    printed = project.run(
        f"""
        import sys
        from tg.common.delivery.delivery import install_package_and_get_loader as install
        one, two = install({str(first)!r}, silent=True), install({str(second)!r}, silent=True)
        path = list(sys.path)
        one.load_resource('job').run(), two.load_resource('job').run()
        one.unload()
        print([name for name in sys.modules if name.startswith('my_job__1_0_0')], len(path) - len(sys.path))
        again = one.load_resource('job')
        print(again.run(), type(again).__module__, two.load_resource('job').run())
    """,
        TG_POLICY="any",
    )
    assert printed.splitlines() == ["[] 1", "code 0 my_job__1_0_0.tg.my.job code 2"]


def test_rounds_of_loading_and_unloading_keep_no_module(project: Project, late: list[Path]) -> None:
    """Counted in Python's own blocks of memory; `make soak` does a thousand and looks at the whole process."""
    printed = project.run(
        f"""
        import gc, sys
        from tg.common.delivery.delivery import install_package_and_get_loader as install

        def blocks_after(count):
            for _ in range(count):
                entry_point = install({str(late[0])!r}, silent=True)
                assert entry_point.load_resource('job').run() == 'code 0'
                entry_point.unload()
            del entry_point
            gc.collect()
            return sys.getallocatedblocks()

        blocks_after(60)  # what is made once, and what Python 3.12 learns of code that is run often
        print(*[blocks_after(20) for _ in range(6)])
    """,
        TG_POLICY="any",
    )
    grown = [after - before for before, after in itertools.pairwise(map(int, printed.split()))]
    # One small object of each round was seen to stay; a module that stays would be some hundred.
    assert statistics.median(grown) < 3 * 20, grown


def test_a_version_cannot_be_exchanged_by_the_code_that_is_importing_it(project: Project, late: list[Path]) -> None:
    project.write(
        "tg/my/job.py",
        """
        import os
        if 'SECOND' in os.environ and __name__.count('.') > 2:  # what names it in full is relocated
            from ..common.delivery.delivery import install_package_and_get_loader
            install_package_and_get_loader(os.environ['SECOND'], silent=True)
        class Job:
            def run(self):
                return 'never'
        """,
    )
    third = project.deliver(version="1.0.0")
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader as install
        install({str(third)!r}, silent=True).load_resource('job')
        """,
        fails=True,
        SECOND=str(late[1]),
        TG_POLICY="any",
    )
    assert "PackageBusy: my_job__1_0_0 cannot be exchanged or unloaded while my_job__1_0_0" in printed


def test_threads_that_import_while_their_version_is_replaced_get_their_own_code(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        import importlib
        class Job:
            def run(self):
                return {importlib.import_module(f'.late{i}', __package__).CODE for i in range(300)}
        """,
    )
    files = []
    for code in ("old", "new"):
        for i in range(300):
            project.write(f"tg/my/late{i}.py", f"CODE = {code!r}\n")
        file = project.deliver()
        files.append(str(file.rename(project.elsewhere / f"{code}-{file.name}")))
    printed = project.run(f"""
        import threading
        from tg.common.delivery.delivery import install_package_and_get_loader as install
        old = install({files[0]!r}, silent=True).load_resource('job')
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(old.run())) for _ in range(4)]
        for thread in threads:
            thread.start()
        new = install({files[1]!r}, silent=True).load_resource('job')
        for thread in threads:
            thread.join()
        print(seen, new.run())
    """)
    assert printed.strip() == "[{'old'}, {'old'}, {'old'}, {'old'}] {'new'}"
