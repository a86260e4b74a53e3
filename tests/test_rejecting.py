"""A file that is not the package that was made is refused before anything of it is used, and nothing is left behind."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from projects import Project

from tg.common.delivery.delivery.archive import write_archive
from tg.common.delivery.delivery.store import Store
from tg.common.delivery.delivery.wheel import Member, WheelReader
from tg.common.delivery.runtime.errors import IncompatiblePackage, PackageRejected
from tg.common.delivery.trust import Policy

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def file(sound_package: Path) -> Path:
    return sound_package


def refusal(project: Project, file: Path) -> PackageRejected:
    with pytest.raises(PackageRejected) as caught:
        Store().install(file, policy=Policy.any())
    assert str(file) in str(caught.value)
    assert caught.value.path == file
    store = project.home / "store"
    assert not store.exists() or not list(store.iterdir())
    return caught.value


def members_of(file: Path) -> list[Member]:
    with WheelReader(file) as reader:
        return [Member.of(name, bytes(reader.data(name))) for name in reader.members]


def seal(file: Path, members: Iterable[Member]) -> None:
    """Write an archive with a good seal around members that may be anything."""
    with file.open("wb") as opened:
        write_archive(opened, [(one.path, one.data, one.digests.crc, one.executable) for one in members])


def repack(file: Path, *added: str, replace: tuple[bytes, bytes] = (b"", b"")) -> None:
    """What another tool would make of it: a zip file without a seal."""
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data.replace(*replace) if name.endswith("package.json") else data)
        for name in added:
            archive.writestr(name, b"evil")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_package_is_refused(project: Project, content: bytes) -> None:
    file = project.write("x.whl", content)
    refusal(project, file)


def test_a_wheel_that_is_no_package_is_refused(project: Project) -> None:
    file = project.folder / "other-1.0-py3-none-any.whl"
    seal(file, [Member.of("other/__init__.py", b"")])
    assert "has no package.json. make_package() makes one" in str(refusal(project, file))


def test_a_file_that_was_cut_is_refused(project: Project, file: Path) -> None:
    content = file.read_bytes()
    for length in range(1, len(content), len(content) // 40):
        file.write_bytes(content[:length])
        refusal(project, file)


def test_a_file_with_any_changed_byte_is_refused(project: Project, file: Path) -> None:
    content = file.read_bytes()
    for position in [*range(0, len(content), 9973), *range(len(content) - 200, len(content))]:
        altered = bytearray(content)
        altered[position] ^= 0x10
        file.write_bytes(altered)
        refusal(project, file)


def test_a_repacked_wheel_is_refused_though_its_files_are_the_same(project: Project, file: Path) -> None:
    repack(file)
    assert "has no seal at its end: it is cut off, was repacked, or is no package at all" in str(refusal(project, file))


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "my_job__1_0_0/../../evil.py", "a\\..\\evil", "C:/evil"])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_member_that_leaves_its_folder_is_refused_by_name(
    project: Project, file: Path, name: str, sealed: bool
) -> None:
    if sealed:
        seal(file, [*members_of(file), Member.of(name, b"evil")])
    else:
        repack(file, name)
    error = refusal(project, file)
    assert "has a member that would leave its folder" in str(error)
    assert error.member == name


def test_a_member_in_a_folder_too_deep_to_remove_is_refused(project: Project, file: Path) -> None:
    deep = "my_job__1_0_0/" + "x/" * 1000 + "module.py"
    seal(file, [*members_of(file), Member.of(deep, b"")])
    assert "has a member more than 100 folders deep: my_job__1_0_0/x/x/" in str(refusal(project, file))


def test_members_beside_the_packages_own_folders_are_refused(project: Project, file: Path) -> None:
    seal(file, [*members_of(file), Member.of("numpy/__init__.py", b"evil")])
    assert "has members outside its own folders, such as numpy/__init__.py" in str(refusal(project, file))


def test_members_that_record_does_not_know_are_refused(project: Project, file: Path) -> None:
    seal(file, [*members_of(file), Member.of("my_job__1_0_0/tg/extra.py", b"evil")])
    said = str(refusal(project, file))
    assert "has other members than its RECORD says, the first is my_job__1_0_0/tg/extra.py" in said


def test_a_member_that_record_says_otherwise_of_is_refused(project: Project, file: Path) -> None:
    changed = [
        Member.of(one.path, b"class Job: pass\n" if one.path.endswith("my/job.py") else bytes(one.data))
        for one in members_of(file)
    ]
    seal(file, changed)
    assert "my_job__1_0_0/tg/my/job.py is not what RECORD says" in str(refusal(project, file))


@pytest.mark.parametrize("sealed", [False, True])
def test_a_package_of_a_newer_format_is_told_as_such(project: Project, file: Path, sealed: bool) -> None:
    if sealed:
        old, new = b'"format": 1', b'"format": 2'
        seal(file, [Member.of(one.path, bytes(one.data).replace(old, new)) for one in members_of(file)])
    else:
        repack(file, replace=(b'"format": 1', b'"format": 2'))
    error = refusal(project, file)
    assert isinstance(error, IncompatiblePackage)
    assert "has package format 2, and this version of delivery reads format 1 and older. Upgrade it here" in str(error)


@pytest.mark.parametrize(
    "replace",
    [(b'"format": 1,', b""), (b'"name": "my_job"', b'"name": "other"'), (b"{", b"["), (b"requires", b"wants")],
)
def test_a_package_json_that_cannot_be_right_is_refused(
    project: Project, file: Path, replace: tuple[bytes, bytes]
) -> None:
    members = members_of(file)
    changed = [
        Member.of(one.path, bytes(one.data).replace(*replace) if one.path.endswith("package.json") else bytes(one.data))
        for one in members
    ]
    seal(file, changed)
    assert "has a package.json that cannot be read" in str(refusal(project, file))
