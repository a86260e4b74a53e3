"""Disks that refuse, and surroundings that are not what one expects: it works, or says why; what was there keeps working."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from projects import Project
from soaking import Soak

DISKS = Path(__file__).with_name("disks.py")

REFUSALS = {
    "full": "there is no room left on the disk",
    "inodes": "there is no room left on the disk",
    "read-only": "the file system is read-only",
    "quota": "the quota of this user is used up",
}


@pytest.fixture
def mounting() -> list[str]:
    """The command in front of one that mounts: what it mounts is gone when it ends."""
    if not shutil.which("unshare"):
        pytest.skip("mounting needs Linux and `unshare`")
    return ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]


def packages(project: Project) -> tuple[Path, Path]:
    old = project.deliver(version="1.0.0")
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        return 'two'\n")
    project.write("tg/my/big.bin", os.urandom(2 * 1024 * 1024))
    new = project.deliver(version="2.0.0")
    return old, new


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_disk_that_refuses(project: Project, mounting: list[str], kind: str, soak: Soak, tmp_path: Path) -> None:
    if kind == "quota" and not shutil.which("mkfs.btrfs"):
        if os.getuid() or not shutil.which("apt-get"):
            pytest.skip("a quota needs root, and btrfs-progs to make a file system that has one")
        subprocess.run(["apt-get", "install", "-y", "-q", "btrfs-progs"], check=True, capture_output=True)
    old, new = packages(project)
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        [*mounting, sys.executable, DISKS, kind, folder, old, new],
        cwd=project.elsewhere,
        env={**project.environment(), "TG_POLICY": "any"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    for what, text in said.items():
        assert REFUSALS[kind] in text, what
        assert str(folder) in text
    assert said["install"].startswith("my_job__2_0_0 cannot be installed in ")
    soak.tell(f"{kind}: install and make refused, the old package ran, nothing left; worked again afterwards")


DELIVERED = """
import os
from tg.common.delivery.delivery import Packaging, install_package_and_get_loader
from tg.my.job import Job
packaging = Packaging('my_job', '1.0.0', dict(job=Job(), data=bytearray(100_000)))
packaging.silent = True
packaging.make_package()
entry_point = install_package_and_get_loader(packaging.package_location, silent=True)
assert entry_point.load_resource('job').run() == 'one'
assert len(entry_point.load_resource('data')) == 100_000
"""


def run_in(project: Project, code: str, *, before: str = "", **changes: str | None) -> subprocess.CompletedProcess[str]:
    environment = project.environment()
    for name, value in changes.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(before) + code],
        cwd=project.elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_home(project: Project) -> None:
    """`~` is asked of the system's list of users then; where that has none either, it is told what to set."""
    done = run_in(project, DELIVERED, HOME=None)
    assert done.returncode == 0, done.stderr
    nobody = "import os, pwd\ndef none(*_): raise KeyError('no user')\npwd.getpwuid = none\n"
    done = run_in(project, DELIVERED, before=nobody, HOME=None, TG_HOME=None, XDG_DATA_HOME=None)
    assert done.returncode != 0
    assert "TG_HOME" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("umask", [0o000, 0o777, 0o022])
def test_under_any_umask(project: Project, umask: int) -> None:
    """Packages, what is installed and what is remembered are nobody else's to read or change."""
    done = run_in(project, DELIVERED, before=f"import os\nos.umask({umask})\n")
    assert done.returncode == 0, done.stderr
    for path in project.home.rglob("*"):
        if path.parent != project.home / "store" and "dist-info" not in str(path) and "my_job__1_0_0" not in str(path):
            assert path.stat().st_mode & 0o077 == 0, path  # what is in the store is behind its folder
    assert (project.home / "store").stat().st_mode & 0o777 == 0o700


def test_temporary_folders_and_results_are_private_under_any_umask(project: Project) -> None:
    file = project.deliver()
    done = run_in(
        project,
        f"""
from tg.common.delivery.execution import ProcessExecutor
run = ProcessExecutor().start({str(file)!r})
assert run.wait() == 0, list(run.logs())
""",
        before="import os\nos.umask(0)\n",
    )
    assert done.returncode == 0, done.stderr
    (run,) = (project.home / "runs").iterdir()
    assert (project.home / "runs").stat().st_mode & 0o777 == 0o700
    assert run.stat().st_mode & 0o777 == 0o700
    for name in ("log", "result.pickle"):
        assert (run / name).stat().st_mode & 0o777 == 0o600, name


def test_without_a_temporary_folder(project: Project) -> None:
    done = run_in(project, DELIVERED, TMPDIR="/nowhere/at all")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("to", [0, 946_684_800, 4_102_444_800])
def test_when_the_clock_jumps(project: Project, to: int, tmp_path: Path) -> None:
    """The clock is set to 1970, 2000, 2100 in the middle, then back: what was made and signed stays good."""
    before = f"""
import time
now, time_ns = time.time, time.time_ns
def jump(seconds):
    time.time = (lambda: float(seconds)) if seconds is not None else now
    time.time_ns = (lambda: seconds * 10**9) if seconds is not None else time_ns
TO = {to}
"""
    code = f"""
{DELIVERED}
from tg.common.delivery.trust import Policy, SigningKey
from tg.common.delivery.delivery import prune
key = SigningKey.new({str(tmp_path / "key")!r})
policy = Policy.signed_by({{'my_job': [key.public]}})
numbers = []
for version, moment in [('1.0.1', None), ('1.0.2', TO), ('1.0.3', None)]:
    jump(moment)
    packaging = Packaging('my_job', version, dict(job=Job()))
    packaging.silent = True
    packaging.make_package().sign(key)
    assert install_package_and_get_loader(packaging.package_location, silent=True, policy=policy).load_resource('job').run() == 'one'
    prune(keep=3)
"""
    done = run_in(project, code, before=before)
    assert done.returncode == 0, done.stderr


def test_between_two_file_systems(project: Project, mounting: list[str], tmp_path: Path) -> None:
    """Package, store, cache and temporary files on file systems of their own: nothing is renamed from one to another."""
    folders = [
        project.home,
        project.home / "packages",
        project.home / "store",
        project.home / "cache",
        tmp_path / "tmp",
    ]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    mounts = " && ".join(
        f"mount -t tmpfs disk '{folder}' && mkdir -p '{project.home}'/{{packages,store,cache}}" for folder in folders
    )
    done = subprocess.run(
        [*mounting, "bash", "-c", f'{mounts} && exec "$0" "$@"', sys.executable, "-c", DELIVERED],
        cwd=project.elsewhere,
        env={**project.environment(), "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_store_that_is_split_over_file_systems_is_told(project: Project, mounting: list[str]) -> None:
    """A folder for the very package that is another file system: the rename cannot be made, and nothing is left."""
    file = project.deliver()
    code = f"""
import os
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.runtime.errors import StorageProblem
original = os.rename
def across(*arguments):
    raise OSError(18, 'Invalid cross-device link', *arguments[:1])
os.rename = across
try:
    install_package_and_get_loader({str(file)!r}, silent=True)
except StorageProblem as error:
    print(error)
"""
    done = run_in(project, code)
    assert "it is on two file systems" in done.stdout, done.stderr
    assert [path.name for path in (project.home / "store").iterdir() if path.name != "names"] == []
