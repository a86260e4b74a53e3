"""What travels, and what does not."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pytest
from projects import REPOSITORY, Project

pytestmark = pytest.mark.usefixtures("unchecked")

PREFIX = "my_job__1_0_0/tg/"


def delivered(file: Path) -> dict[str, bytes]:
    """The delivered tree without our own part of it."""
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.startswith(PREFIX)]
        return {name[len(PREFIX) :]: archive.read(name) for name in names if not name.startswith(PREFIX + "common/")}


def warnings(project: Project, before: str = "") -> str:
    return project.run(f"""
        {before}
        from tg.my.job import Job
        from tg.common.delivery.delivery import Packaging
        packaging = Packaging('my_job', '1.0.0', dict(job=Job()))
        packaging.silent = True
        packaging.checked = False
        packaging.make_package()
        """)


def test_everything_in_tg_travels(project: Project) -> None:
    project.write("tg/my/data.csv", "a,b\n")
    project.write("tg/my/model.bin", bytes(range(256)))
    project.write("tg/my/py.typed", b"")
    project.write("tg/my/deep/er/module.py", "x = 1\n")
    project.write("tg/my/name with blank, and comma.txt", "x")
    project.write("tg/my/größe.txt", "x")
    project.write("tg/other/.hidden", "x")
    assert delivered(project.deliver()).keys() == {
        "__init__.py",
        "my/__init__.py",
        "my/data.csv",
        "my/deep/er/module.py",
        "my/größe.txt",
        "my/job.py",
        "my/model.bin",
        "my/name with blank, and comma.txt",
        "my/py.typed",
        "other/.hidden",
    }


def test_files_travel_unchanged(project: Project) -> None:
    data = os.urandom(300_000)
    project.write("tg/my/model.bin", data)
    assert delivered(project.deliver())["my/model.bin"] == data


def test_a_script_stays_executable(project: Project) -> None:
    project.write("tg/my/tool.sh", "#!/bin/sh\necho out\n").chmod(0o755)
    project.write(
        "tg/my/job.py",
        """
        import pathlib, subprocess
        class Job:
            def run(self):
                return subprocess.check_output([pathlib.Path(__file__).with_name('tool.sh')], text=True)
        """,
    )
    printed = project.run(f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        print(install_package_and_get_loader({str(project.deliver())!r}, silent=True).load_resource('job').run())
    """)
    assert printed.strip() == "out"


def test_what_tools_and_editors_leave_does_not_travel(project: Project) -> None:
    for path in ("__pycache__/job.cpython-311.pyc", "job.py~", ".job.py.swp", "#job.py#", ".DS_Store", ".git/config"):
        project.write(f"tg/my/{path}", "x")
    project.write("tg/.ipynb_checkpoints/x.py", "x")
    assert delivered(project.deliver()).keys() == {"__init__.py", "my/__init__.py", "my/job.py"}


def test_what_a_deliveryignore_names_does_not_travel(project: Project) -> None:
    project.write("tg/.deliveryignore", "*.secret\n/my/cache/\n")
    project.write("tg/my/sub/.deliveryignore", "*\n!keep.txt\n!.deliveryignore\n")
    for path in ("a.secret", "cache/x", "sub/drop.txt", "sub/keep.txt", "deep/b.secret"):
        project.write(f"tg/my/{path}", "x")
    found = delivered(project.deliver()).keys() - {"__init__.py", "my/__init__.py", "my/job.py"}
    assert found == {".deliveryignore", "my/sub/.deliveryignore", "my/sub/keep.txt"}


def test_nothing_outside_tg_travels(project: Project) -> None:
    secret = b"password: swordfish"
    project.write("secrets.txt", secret)
    project.write("notes/plan.md", secret)
    project.write("tg_backup/x.py", secret)
    with zipfile.ZipFile(project.deliver()) as archive:
        assert all(secret not in archive.read(name) for name in archive.namelist())


def test_a_link_that_leaves_tg_does_not_travel_and_is_told(project: Project) -> None:
    outside = project.write("secrets/key.txt", "swordfish")
    (project.folder / "tg/my/key.txt").symlink_to(outside)
    (project.folder / "tg/my/secrets").symlink_to(outside.parent)
    printed = warnings(project)
    assert f"WARNING: {project.folder}/tg/my/key.txt is a link to {outside}, which is outside tg/" in printed
    assert f"{project.folder}/tg/my/secrets is a link to {outside.parent}, which is outside tg/" in printed
    assert delivered(project.deliver()).keys() == {"__init__.py", "my/__init__.py", "my/job.py"}


def test_a_link_within_tg_travels_as_what_it_leads_to(project: Project) -> None:
    project.write("tg/my/data/x.csv", "a")
    (project.folder / "tg/my/link.csv").symlink_to("data/x.csv")
    (project.folder / "tg/my/folder").symlink_to("data")
    found = delivered(project.deliver())
    assert found["my/link.csv"] == found["my/folder/x.csv"] == b"a"


def test_links_in_a_circle_and_to_nothing_are_told_and_left_out(project: Project) -> None:
    (project.folder / "tg/my/circle").symlink_to("..")
    (project.folder / "tg/my/nothing").symlink_to("gone.txt")
    printed = warnings(project)
    assert "tg/my/circle is a link to a folder that it lies in" in printed
    assert "tg/my/nothing is a link to nothing" in printed


def test_a_pipe_is_told_and_left_out(project: Project) -> None:
    os.mkfifo(project.folder / "tg/my/pipe")
    assert "tg/my/pipe is a pipe or device and will not be delivered" in warnings(project)


def test_a_name_that_cannot_be_stored_is_refused(project: Project) -> None:
    project.write("tg/my/a\\b.txt", "x")
    printed = project.run(
        """
        from tg.my.job import Job
        from tg.common.delivery.delivery import Packaging
        Packaging('my_job', '1.0.0', dict(job=Job())).make_package()
        """,
        fails=True,
    )
    assert "has a name that not every system can store. Rename it." in printed
    assert not project.home.exists()


@pytest.fixture
def second(project: Project) -> Path:
    """Another folder that has a `tg` on the path."""
    folder = project.folder.parent / "second"
    (folder / "tg/more").mkdir(parents=True)
    (folder / "tg/more/thing.py").write_text("class Thing:\n    pass\n")
    return folder


def test_several_folders_named_tg_travel_as_one(project: Project, second: Path) -> None:
    before = f"import sys; sys.path.append({str(second)!r})\nfrom tg.more.thing import Thing"
    project.run(f"""
{before}
from tg.my.job import Job
from tg.common.delivery.delivery import Packaging
Packaging('my_job', '1.0.0', dict(job=Job(), thing=Thing())).make_package({str(project.elsewhere)!r})
""")
    found = delivered(project.elsewhere / "my_job-1.0.0-py3-none-any.whl")
    assert {"my/job.py", "more/thing.py"} <= found.keys()


def test_a_stray_folder_named_tg_does_not_travel_unnoticed(project: Project, second: Path) -> None:
    printed = warnings(project, f"import sys; sys.path.append({str(second)!r})")
    assert f"WARNING: {second}/tg is part of tg and travels, but nothing in the payload comes from it." in printed


def test_the_same_file_in_two_folders_is_refused_and_both_are_named(project: Project, second: Path) -> None:
    (second / "tg/my").mkdir()
    (second / "tg/my/job.py").write_text("")
    printed = project.run(
        f"""
        import sys; sys.path.append({str(second)!r})
        from tg.my.job import Job
        from tg.common.delivery.delivery import Packaging
        Packaging('my_job', '1.0.0', dict(job=Job())).make_package()
        """,
        fails=True,
    )
    assert f"my/job.py is both in {project.folder}/tg and in {second}/tg" in printed


def test_a_tg_that_is_a_regular_package_is_delivered_as_it_is(project: Project) -> None:
    shutil.copytree(REPOSITORY / "tg/common", project.folder / "tg/common")
    project.write("tg/__init__.py", "NAME = 'mine'\n")
    project.write("tg/my/job.py", "from .. import NAME\nclass Job:\n    def run(self):\n        return NAME\n")
    file = project.deliver(PYTHONPATH=str(project.folder))
    printed = project.run(f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        print(install_package_and_get_loader({str(file)!r}, silent=True).load_resource('job').run())
    """)
    assert printed.strip() == "mine"


def test_links_to_one_another_are_told_and_left_out(project: Project) -> None:
    (project.folder / "tg/my/a").symlink_to("b")
    (project.folder / "tg/my/b").symlink_to("a")
    assert "tg/my/a is a link to nothing" in warnings(project)
    assert delivered(project.deliver()).keys() == {"__init__.py", "my/__init__.py", "my/job.py"}


def test_a_deliveryignore_may_begin_with_a_byte_order_mark(project: Project) -> None:
    project.write("tg/.deliveryignore", "*.secret\n".encode("utf-8-sig"))
    project.write("tg/my/a.secret", "1")
    assert "my/a.secret" not in delivered(project.deliver())


@pytest.mark.parametrize("kind", ["folder", "link to nothing", "not UTF-8"])
def test_a_deliveryignore_that_cannot_be_read_is_named(project: Project, kind: str) -> None:
    file = project.folder / "tg/my/.deliveryignore"
    if kind == "folder":
        file.mkdir()
    elif kind == "link to nothing":
        file.symlink_to("gone")
    else:
        file.write_bytes(b"\xe9*\n")
    printed = project.run(
        """
        from tg.my.job import Job
        from tg.common.delivery.delivery import Packaging
        Packaging('my_job', '1.0.0', dict(job=Job())).make_package()
        """,
        fails=True,
    )
    assert "UndeliverableSource" in printed
    assert str(file) in printed


def test_a_script_is_executable_in_the_wheel_and_other_files_are_not(project: Project) -> None:
    project.write("tg/my/tool.sh", "#!/bin/sh\n").chmod(0o700)
    with zipfile.ZipFile(project.deliver()) as archive:
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()}
    assert {name for name, mode in modes.items() if mode == 0o755} == {PREFIX + "my/tool.sh"}
    assert {mode for name, mode in modes.items() if name != PREFIX + "my/tool.sh"} == {0o644}
