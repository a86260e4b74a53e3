"""Locks: dependencies resolved once, with hashes; the lock travels, and whoever installs goes by it."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from environments import make_environment
from projects import Project
from wheels import write_wheel

from tg.common import Loc
from tg.common.delivery.delivery import Containering, Packaging, inspect_package, install_package_and_get_loader
from tg.common.delivery.delivery.built_package import read_built_package
from tg.common.delivery.delivery.package_locks import lock_of
from tg.common.delivery.delivery.store import Store
from tg.common.delivery.environments.lock import Lock
from tg.common.delivery.environments.platform import Platform
from tg.common.delivery.execution import ProcessExecutor
from tg.common.delivery.images.dependency_layers import dependency_layers
from tg.common.delivery.runtime.errors import DependencyProblem, InvalidName
from tg.common.delivery.trust import Policy

PYTHON = "{}.{}".format(*sys.version_info[:2])
MINE = "packaging.dependencies = [DependencyList('mine', ['outer'])]"
VERSIONS = """
import outer, inner
return outer.version, inner.version
"""

Locked = Callable[..., Path]


@pytest.fixture
def locked(project: Project, index: Path, monkeypatch: pytest.MonkeyPatch) -> Locked:
    """Makes a package that was locked while `outer` and `inner`, which it needs, had one version; then both get another."""
    monkeypatch.setenv("TG_HOME", str(project.home))
    monkeypatch.setenv("TG_POLICY", "")

    def make(settings: str = "packaging.lock()", then: str = "") -> Path:
        release(index, "1.0.0")
        body = "".join(f"        {line}\n" for line in VERSIONS.strip().splitlines())
        project.write("tg/my/job.py", f"class Job:\n    def run(self):\n{body}")
        file = project.deliver(settings=f"{MINE}\n{settings}\n{then}")
        release(index, "2.0.0")
        return file

    return make


def release(index: Path, version: str) -> None:
    write_wheel(index, "outer", {"outer.py": f"version = {version!r}\n".encode()}, version, requires=("inner",))
    write_wheel(index, "inner", {"inner.py": f"version = {version!r}\n".encode()}, version)


def test_the_lock_travels_with_exact_versions_and_hashes(locked: Locked) -> None:
    with zipfile.ZipFile(locked()) as wheel:
        (name,) = [name for name in wheel.namelist() if "/locks/" in name]
        text = wheel.read(name).decode()
    assert name == f"my_job__1_0_0/locks/{PYTHON}-{Platform.of_machine().uv_name}.txt"
    assert [line.split("==")[0] for line in text.splitlines() if "==" in line] == ["inner", "outer"]
    assert text.count("==1.0.0") == text.count("--hash=sha256:") == 2
    assert "://" not in text


def test_a_process_gets_what_was_locked_and_not_what_is_newest(locked: Locked) -> None:
    assert ProcessExecutor().start(locked()).result() == ("1.0.0", "1.0.0")


def test_without_a_lock_a_process_gets_what_is_newest(locked: Locked) -> None:
    assert ProcessExecutor().start(locked("")).result() == ("2.0.0", "2.0.0")


def test_what_a_process_installs_is_proved_by_the_lock_s_hashes(
    locked: Locked, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = locked()
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))  # nothing is known of the wheel from resolving it
    write_wheel(index, "inner", {"inner.py": b"version = 'forged'\n"}, "1.0.0")
    with pytest.raises(DependencyProblem, match=r"(?si)hash mismatch.*inner"):
        ProcessExecutor().start(file)


def test_what_is_missing_in_this_process_is_installed_as_locked(locked: Locked, project: Project, index: Path) -> None:
    file = locked()
    made = project.elsewhere / "venv"
    make_environment(made)
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        print(install_package_and_get_loader({str(file)!r}, silent=True).load_resource('job').run())
        """,
        python=str(made / "bin/python"),
        with_project=False,
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(index),
        PYTHONPATH=f"{Path(__file__).resolve().parent.parent}:{_packaging()}",
        PATH=str(made / "bin"),
    )
    assert printed.strip() == "('1.0.0', '1.0.0')"


def _packaging() -> str:
    import packaging

    return str(Path(packaging.__file__).parent.parent)


def test_the_dependency_layer_of_an_image_is_that_of_the_lock(locked: Locked) -> None:
    platform = Platform.of_machine()
    built = read_built_package(locked(), policy=Policy.any())
    lock = built.lock_for(PYTHON, platform)
    assert lock is not None
    assert [(pin.name, pin.version) for pin in lock.pins] == [("inner", "1.0.0"), ("outer", "1.0.0")]
    assert Containering.from_built(built)._lock(built, list(built.requirements), platform) == lock
    assert built.lock_for("3.9", platform) is None


def test_what_an_image_needs_besides_is_resolved_to_go_with_the_lock(locked: Locked, index: Path) -> None:
    built = read_built_package(locked(), policy=Policy.any())
    write_wheel(index, "other", {"other.py": b""}, requires=("inner",))
    more = Containering.from_built(built)._lock(built, [*built.requirements, "other"], Platform.of_machine())
    assert [(pin.name, pin.version) for pin in more.pins] == [
        ("inner", "1.0.0"),
        ("other", "1.0.0"),
        ("outer", "1.0.0"),
    ]


def test_locks_for_several_targets_travel_together(locked: Locked) -> None:
    file = locked("packaging.lock('3.12', 'linux/arm64')\npackaging.lock('3.13', 'linux/amd64', libc='musl')")
    built = read_built_package(file, policy=Policy.any())
    assert sorted(built.locks) == ["3.12-aarch64-manylinux_2_28.txt", "3.13-x86_64-unknown-linux-musl.txt"]
    assert built.lock_for("3.12", Platform("arm64")) is not None
    assert built.lock_for("3.12", Platform("amd64")) is None


def test_a_lock_of_other_dependencies_is_refused(locked: Locked) -> None:
    with pytest.raises(
        AssertionError, match=r"DependencyProblem: the lock for .* is of outer, and the package needs inner"
    ):
        locked(then="packaging.dependencies = [DependencyList('mine', ['inner'])]")


def test_locking_again_takes_what_was_resolved_unless_it_is_to_be_renewed(locked: Locked, project: Project) -> None:
    locked()
    assert "==1.0.0" in locked_text(project.deliver(settings=f"{MINE}\npackaging.lock()"))
    assert "==2.0.0" in locked_text(project.deliver(settings=f"{MINE}\npackaging.lock(renew=True)"))


def locked_text(file: Path) -> str:
    (text,) = read_built_package(file, policy=Policy.any()).locks.values()
    return text


def test_found_dependencies_are_locked_too(project: Project, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(index, "iniconfig", {"iniconfig.py": b""}, _installed("iniconfig"))
    project.write("tg/my/job.py", "import iniconfig\n\n\nclass Job:\n    def run(self):\n        return 1\n")
    file = project.deliver(settings="packaging.dependencies = 'auto'\npackaging.lock()")
    assert f"iniconfig=={_installed('iniconfig')}" in locked_text(file)


def _installed(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def test_a_package_is_another_one_when_its_lock_is(locked: Locked, project: Project) -> None:
    def version(settings: str) -> str:
        return project.deliver(version=None, settings=f"{MINE}\n{settings}").name

    locked("")
    assert version("packaging.lock()") != version("") == version("")


def test_a_lock_is_written_and_read_back(locked: Locked) -> None:
    locked("")
    lock = Lock.of(["outer", "inner"], PYTHON, Platform("amd64"), from_source=[])
    assert Lock.of_text(lock.text, PYTHON, Platform("amd64"), ["outer", "inner"]) == lock
    built = Lock(lock.python, lock.platform, lock.pins, ("inner",), lock.requirements)
    assert Lock.of_text(built.text, PYTHON, Platform("amd64"), ["outer", "inner"]) == built
    assert built.digest != lock.digest


@pytest.mark.parametrize("python", [3.12, "python3.12", "3.12.1", ""])
def test_a_python_that_is_none_is_refused(python: str) -> None:
    with pytest.raises(InvalidName, match=r"is not one to lock for. Give it as '3\.12'\.$"):
        Packaging("job", payload={"job": 1}).lock(python)


def test_a_lock_shows_what_is_pinned_and_not_its_hashes(locked: Locked) -> None:
    locked("")
    shown = repr(Lock.of(["outer"], PYTHON, Platform("amd64")))
    assert "Pin(name='inner', version='2.0.0')" in shown
    assert "sha256" not in shown


def test_layers_of_a_lock_that_travelled_are_those_of_one_resolved_here(locked: Locked) -> None:
    from tg.common.delivery.images.bytecode import Interpreter

    built = read_built_package(locked(), policy=Policy.any())
    travelled = built.lock_for(PYTHON, Platform.of_machine())
    resolved = Lock.of(["outer"], PYTHON, Platform.of_machine())
    assert travelled is not None
    assert travelled.digest == resolved.digest
    interpreter = Interpreter.of_version(PYTHON)
    layers = [one.blob.digest for one in dependency_layers(travelled, interpreter)]
    assert layers == [one.blob.digest for one in dependency_layers(resolved, interpreter)]
    assert (Loc.images / "layers" / f"lock-{resolved.digest}.json").exists()


def test_looking_into_a_package_tells_what_it_is_locked_for(locked: Locked) -> None:
    report = inspect_package(locked("packaging.lock('3.12', 'linux/amd64')"), policy=Policy.any())
    assert report.locks == ("3.12-x86_64-manylinux_2_28",)
    assert "(locked for 3.12-x86_64-manylinux_2_28)" in str(report)
    assert report.to_json()["locks"] == ["3.12-x86_64-manylinux_2_28"]


def test_an_isolated_version_gets_what_was_locked(locked: Locked) -> None:
    file = locked()
    with install_package_and_get_loader(file, silent=True, isolated=True, policy=Policy.any()) as entry_point:
        assert entry_point.load_resource("job").run() == ("1.0.0", "1.0.0")


def test_what_is_required_from_a_url_is_in_the_lock(project: Project, index: Path, locked: Locked) -> None:
    locked("")
    wheel = next(index.glob("inner-1.0.0-*.whl"))
    settings = (
        f"packaging.dependencies = [DependencyList('mine', ['inner @ {wheel.as_uri()}', 'outer'])]\npackaging.lock()"
    )
    file = project.deliver(settings=settings)
    lock = read_built_package(file, policy=Policy.any()).lock_for(PYTHON, Platform.of_machine())
    assert lock is not None
    assert [pin.requirement for pin in lock.pins] == [f"inner @ {wheel.as_uri()}", "outer==2.0.0"]
    assert ProcessExecutor().start(file).result() == ("2.0.0", "1.0.0")
    more = Lock.of(["inner"], PYTHON, Platform.of_machine(), within=lock)
    assert [pin.requirement for pin in more.pins] == [f"inner @ {wheel.as_uri()}"]


def test_a_machine_that_nothing_can_be_locked_for_installs_what_is_locked_for_others(
    locked: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "here", "6.1", "#1", "riscv64")))
    package = Store().install(locked(), policy=Policy.any())
    assert lock_of(package.facts, package.folder) is None
