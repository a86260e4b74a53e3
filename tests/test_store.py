"""The store: packages verified, unpacked once, shared, listed and removed."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from projects import Project

from tg.common.delivery.delivery import install_package_and_get_loader, list_installed, prune
from tg.common.delivery.delivery.store import Store
from tg.common.delivery.runtime.errors import PackageNotFound, PackageRejected
from tg.common.delivery.runtime.module_tree import ModuleTree
from tg.common.delivery.trust import Policy

pytestmark = pytest.mark.usefixtures("unchecked")


def test_an_installed_package_is_the_wheel_unpacked(project: Project) -> None:
    file = project.deliver()
    package = Store().install(file)
    assert (package.folder / "tg/my/job.py").read_bytes() == (project.folder / "tg/my/job.py").read_bytes()
    assert package.folder.parent.parent == project.home / "store"
    assert {path.name for path in package.folder.parent.iterdir()} == {"my_job__1_0_0", "my_job-1.0.0.dist-info"}


def test_installing_again_changes_nothing_on_the_disk(project: Project) -> None:
    file = project.deliver()
    folder = Store().install(file).folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert Store().install(file).folder == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_installed_files_are_read_only_since_versions_share_them(project: Project) -> None:
    folder = Store().install(project.deliver()).folder
    assert {path.stat().st_mode & 0o222 for path in folder.rglob("*") if path.is_file()} == {0}


def test_unchanged_files_of_the_next_version_are_links_to_those_of_the_last(project: Project) -> None:
    project.write("tg/my/data.csv", "a,b\n")
    first = Store().install(project.deliver(version="1.0.0")).folder
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        return 'two'\n")
    second = Store().install(project.deliver(version="1.0.1")).folder
    assert (first / "tg/my/data.csv").samefile(second / "tg/my/data.csv")
    assert not (first / "tg/my/job.py").samefile(second / "tg/my/job.py")


def test_bytecode_of_unchanged_files_is_there_for_the_next_version(project: Project) -> None:
    project.write("tg/my/other.py", "def where():\n    pass\n")
    project.write("tg/my/job.py", "from . import other\n\n\nclass Job:\n    def run(self):\n        return 'one'\n")

    def run(file: Path) -> list[str]:
        code = f"""
            from tg.common.delivery.delivery import install_package_and_get_loader
            job = install_package_and_get_loader({str(file)!r}, silent=True).load_resource('job')
            other = job.run.__globals__['other']
            print(job.run(), job.run.__code__.co_filename, other.where.__code__.co_filename)
        """
        return project.run(code, PYTHONDONTWRITEBYTECODE="", TG_POLICY="any").split()

    def bytecode(folder: Path, module: str) -> list[Path]:
        return list((folder / "tg/my/__pycache__").glob(f"{module}.*.pyc"))

    first_file = project.deliver(version="1.0.0")
    first = Store().install(first_file).folder
    assert run(first_file) == ["one", str(first / "tg/my/job.py"), str(first / "tg/my/other.py")]
    project.write("tg/my/job.py", "from . import other\n\n\nclass Job:\n    def run(self):\n        return 'second'\n")
    second_file = project.deliver(version="1.0.1")
    second = Store().install(second_file).folder
    (ours,), (theirs,) = bytecode(first, "other"), bytecode(second, "other")
    assert ours.samefile(theirs)
    assert bytecode(second, "job") == []
    assert run(second_file) == ["second", str(second / "tg/my/job.py"), str(second / "tg/my/other.py")]
    assert ours.samefile(theirs)  # it was good: what is not is written anew, in its place
    assert len(bytecode(second, "job")) == 1


def test_a_file_that_somebody_changed_in_the_store_is_not_linked_to(project: Project) -> None:
    first = Store().install(project.deliver(version="1.0.0")).folder
    changed = first / "tg/my/job.py"
    changed.chmod(0o644)
    changed.write_bytes(changed.read_bytes().replace(b"one", b"two"))
    second = Store().install(project.deliver(version="1.0.1")).folder
    assert b"one" in (second / "tg/my/job.py").read_bytes()


def test_a_file_that_became_executable_is_so_in_the_next_version_alone(project: Project) -> None:
    tool = project.write("tg/my/tool.sh", "#!/bin/sh\n")
    modes = {}
    for version, mode in (("1.0.0", 0o644), ("1.0.1", 0o755), ("1.0.2", 0o644)):
        tool.chmod(mode)
        package = Store().install(project.deliver(version=version))
        Store().check(package, policy=Policy(anything=True))
        modes[version] = (package.folder / "tg/my/tool.sh").stat().st_mode & 0o777
    assert modes == {"1.0.0": 0o444, "1.0.1": 0o555, "1.0.2": 0o444}


def test_a_rejected_package_leaves_nothing_behind(project: Project) -> None:
    project.write("tg/my/big.bin", os.urandom(200_000))
    file = project.deliver()
    content = bytearray(file.read_bytes())
    place = content.index((project.folder / "tg/my/big.bin").read_bytes()) + 100_000
    content[place] ^= 1
    file.write_bytes(content)
    with pytest.raises(PackageRejected, match=r"tg/my/big\.bin is not what RECORD says"):
        Store().install(file)
    assert not list((project.home / "store").iterdir())


def test_an_altered_copy_of_what_is_installed_is_rejected_too(project: Project) -> None:
    project.write("tg/my/big.bin", bytes(200_000))
    file = project.deliver()
    Store().install(file)
    content = bytearray(file.read_bytes())
    content[content.index(bytes(200_000)) + 5] = 1
    file.write_bytes(content)
    with pytest.raises(PackageRejected):
        Store().install(file)


INSTALL = """
import sys
from pathlib import Path
from tg.common.delivery.delivery.store import Store
print(Store().install(Path(sys.argv[1])).folder)
"""


def test_many_processes_and_threads_install_one_package_at_once(project: Project) -> None:
    file = project.deliver()
    script = project.elsewhere / "install.py"
    script.write_text(INSTALL)
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(file)], env=project.environment(), stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        folders = {str(package.folder) for package in pool.map(Store().install, [file] * 8)}
    folders |= {process.communicate(timeout=60)[0].strip() for process in processes}
    assert len(folders) == 1
    assert not list((project.home / "store").glob("tmp-*"))


def test_listing_shows_what_is_installed_the_last_one_of_a_name_last(project: Project) -> None:
    for version in ("1.0.0", "1.0.1"):
        Store().install(project.deliver(version=version))
    listed = list_installed()
    assert [(one.name, one.version, one.module_name) for one in listed] == [
        ("my_job", "1.0.0", "my_job__1_0_0"),
        ("my_job", "1.0.1", "my_job__1_0_1"),
    ]


def test_nothing_is_listed_and_nothing_made_when_nothing_was_installed(project: Project) -> None:
    assert list_installed() == []
    assert not project.home.exists()


def test_pruning_keeps_the_last_of_each_name_and_clears_what_was_interrupted(project: Project) -> None:
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        Store().install(project.deliver(version=version))
    Store().install(project.deliver("other"))
    stale = project.home / "store/tmp-stale"
    stale.mkdir()
    os.utime(stale, (0, 0))
    removed = prune(keep=1)
    assert [one.version for one in removed] == ["1.0.0", "1.0.1"]
    assert [(one.name, one.version) for one in list_installed()] == [("my_job", "1.0.2"), ("other", "1.0.0")]
    assert not stale.exists()


def test_several_versions_and_none_named_is_an_error_that_lists_them(project: Project) -> None:
    for version in ("1.0.0", "1.0.1"):
        Store().install(project.deliver(version=version))
    with pytest.raises(PackageNotFound, match="my_job__1_0_0, my_job__1_0_1"):
        Store().find("my_job")
    found = Store().find("my_job", "1.0.1")
    assert found is not None
    assert found.module_name == "my_job__1_0_1"


def test_of_several_contents_of_one_uid_the_one_installed_last_is_found(project: Project) -> None:
    first = project.deliver()
    first = first.rename(project.elsewhere / first.name)
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        return 'two'\n")
    second = project.deliver()
    seals = [Store().install(file).seal for file in (first, second, first)]
    found = Store().find("my_job__1_0_0")
    assert found is not None
    assert found.seal == seals[0] == seals[2] != seals[1]


def test_a_package_file_can_be_given_by_a_relative_path(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project.deliver()
    monkeypatch.chdir(file.parent)
    assert Store().install(Path(file.name)).module_name == "my_job__1_0_0"


def test_after_a_replacement_the_new_one_is_the_last_and_is_what_is_kept(project: Project) -> None:
    project.write("tg/my/late.py", "")
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        from . import late\n        return 'one'\n")
    first = project.deliver()
    first = first.rename(project.elsewhere / first.name)
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        from . import late\n        return 'two'\n")
    second = project.deliver()
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import *
        one = install_package_and_get_loader({str(first)!r}, silent=True).load_resource('job')
        install_package_and_get_loader({str(second)!r}, silent=True).load_resource('job').run()
        one.run()
        print(get_loader_from_installed_package('my_job').load_resource('job').run(), len(list_installed()))
        prune(keep=1)
        print(get_loader_from_installed_package('my_job').load_resource('job').run(), len(list_installed()))
        print(list_installed())
        """,
        with_project=False,
    )
    assert printed.splitlines()[:2] == ["two 2", "two 1"]
    assert printed.splitlines()[2].startswith("[<InstalledPackage my_job__1_0_0: my_job 1.0.0 in ")


def test_a_package_that_is_removed_while_its_folders_are_looked_for_again_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_point = install_package_and_get_loader(project.deliver(), silent=True)
    folder = entry_point.resources_location.parent
    away = folder.with_name("away")
    for path in (folder, folder / "tg", folder / "tg/my"):
        monkeypatch.setitem(
            sys.path_importer_cache, str(path), None
        )  # what Python keeps of a folder that it missed once
    monkeypatch.setitem(sys.path_importer_cache, str(folder.parent), None)
    look_again = ModuleTree.forget_missing_folders

    def removed_meanwhile(tree: ModuleTree) -> bool:
        folder.rename(away)
        return look_again(tree)

    monkeypatch.setattr(ModuleTree, "forget_missing_folders", removed_meanwhile)
    with pytest.raises(PackageNotFound, match="is not installed any more"):
        entry_point.load_resource("job")
