"""The wheel: what is written is read again; whatever is not as it was made is refused, and nothing is left behind."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import stat
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tg.common.delivery.delivery.archive import write_archive
from tg.common.delivery.delivery.facts import PackageFacts
from tg.common.delivery.delivery.store import Store
from tg.common.delivery.delivery.wheel import BIG_BYTES, Digests, Member, RecordedFile, WheelReader, write_wheel
from tg.common.delivery.runtime.errors import IncompatiblePackage, PackageRejected
from tg.common.delivery.runtime.names import UID
from tg.common.delivery.trust import Policy

UID_FOLDER = "my_job__1_0_0"
DIST_INFO = "my_job-1.0.0.dist-info"
RECORD = f"{DIST_INFO}/RECORD"
METADATA = {"METADATA": b"Metadata-Version: 2.1\nName: my_job\nVersion: 1.0.0\n", "WHEEL": b"Wheel-Version: 1.0\n"}
FACTS = PackageFacts(
    uid=UID("my_job", "1.0.0"),
    original_tg_import_path="tg",
    requires_python=">=3.10",
    dependencies={"min": ()},
    resources=("job",),
    content="c" * 64,
    source="5" * 64,
)
PATHS = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters='/\\:"'), min_size=1, max_size=8).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=3,
).map("/".join)
MEMBERS = st.dictionaries(PATHS, st.tuples(st.binary(max_size=100), st.booleans()), max_size=5).filter(
    lambda files: not any(path.startswith(other + "/") for path in files for other in files)  # no file is a folder too
)


def members_of(files: dict[str, tuple[bytes, bool]]) -> list[Member]:
    """The members of a small package that has these files in its `tg/`."""
    members = [Member.of(f"{UID_FOLDER}/package.json", FACTS.to_json())]
    for path, (data, executable) in files.items():
        members.append(Member(f"{UID_FOLDER}/tg/{path}", data, Digests.of(data), executable))
    return members


def made(path: Path, files: dict[str, tuple[bytes, bool]] | None = None) -> Path:
    """A sound package file."""
    write_wheel(path, members_of({"__init__.py": (b"x = 1\n", False)} if files is None else files), DIST_INFO, METADATA)
    return path


def refusal(file: Path, store: Path) -> PackageRejected:
    """The error that installing `file` into the empty folder `store` gives; nothing may be left in it."""
    with pytest.raises(PackageRejected) as caught:
        Store(store).install(file, policy=Policy.any())
    assert not store.exists() or not os.listdir(store)
    assert caught.value.path == file
    return caught.value


def is_refused(file: Path, store: Path) -> bool:
    """The same as an answer, for counting over very many files."""
    try:
        Store(store).install(file, policy=Policy.any())
    except PackageRejected:
        return not store.exists() or not os.listdir(store)
    return False


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=MEMBERS)
def test_what_was_written_is_read_again(tmp_path: Path, files: dict[str, tuple[bytes, bool]]) -> None:
    written = members_of(files)
    write_wheel(tmp_path / "x.whl", written, DIST_INFO, METADATA)
    with WheelReader(tmp_path / "x.whl") as wheel:
        read = {path: (bytes(wheel.data(path)), entry.executable) for path, entry in wheel.members.items()}
        facts = wheel.facts
    expected = {member.path: (bytes(member.data), member.executable) for member in written}
    expected |= {f"{DIST_INFO}/{name}": (data, False) for name, data in METADATA.items()}
    assert {path: content for path, content in read.items() if path != RECORD} == expected
    assert facts == FACTS


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=MEMBERS, chance=st.randoms(use_true_random=False))
def test_the_same_members_give_the_same_bytes_in_whatever_order_they_come(
    tmp_path: Path, files: dict[str, tuple[bytes, bool]], chance: random.Random
) -> None:
    members = members_of(files)
    write_wheel(tmp_path / "x.whl", members, DIST_INFO, METADATA)
    chance.shuffle(members)
    write_wheel(tmp_path / "other name", members, DIST_INFO, dict(reversed(METADATA.items())))
    assert (tmp_path / "x.whl").read_bytes() == (tmp_path / "other name").read_bytes()


def test_record_lists_every_member_with_its_hash_and_itself_without(tmp_path: Path) -> None:
    file = made(tmp_path / "x.whl", {"a, b.txt": (b"text", False)})
    with zipfile.ZipFile(file) as archive:
        lines = archive.read(RECORD).decode().splitlines()
        assert archive.namelist()[-1] == RECORD  # PEP 427: the last one, so that it can be appended to
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"text").digest()).rstrip(b"=").decode()
    assert f'"{UID_FOLDER}/tg/a, b.txt",sha256={digest},4' in lines
    assert lines[-1] == f"{RECORD},,"


def test_a_line_of_record_with_another_hash_is_not_read() -> None:
    with pytest.raises(ValueError, match="x is hashed with md5"):
        RecordedFile.parse_all("x,md5=abc,3\n")


def test_what_csv_does_not_read_is_no_record() -> None:
    with pytest.raises(ValueError, match="field larger than field limit"):
        RecordedFile.parse_all("a" * 200_000)


def test_the_folder_of_a_wheel_is_made(tmp_path: Path) -> None:
    assert made(tmp_path / "deep/er/x.whl").is_file()


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_a_wheel_is_nobody_elses_to_read_whatever_the_mask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        file = made(tmp_path / "x.whl")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_wheel_takes_the_place_of_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"before")
    assert zipfile.is_zipfile(made(tmp_path / "x.whl"))


class Interrupting(bytes):
    """Data of a member during whose writing the program is interrupted."""

    def __bytes__(self) -> bytes:
        raise KeyboardInterrupt


def test_writing_that_is_interrupted_leaves_nothing_but_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"before")
    first = Member.of(f"{UID_FOLDER}/big", random.Random(0).randbytes(3 * BIG_BYTES))
    then = Member.of(f"{UID_FOLDER}/interrupting", Interrupting(b"data"))
    with pytest.raises(KeyboardInterrupt):
        write_wheel(tmp_path / "x.whl", [first, then], DIST_INFO, METADATA)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"x.whl": b"before"}


# --- Altered, cut, added to ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", [0, 5])  # 5: upper case becomes lower case
def test_every_altered_byte_is_refused(tmp_path: Path, bit: int) -> None:
    content = made(tmp_path / "x.whl").read_bytes()
    altered = bytearray(content)
    taken = []
    for position in range(len(content)):
        altered[position] ^= 1 << bit
        (tmp_path / "altered.whl").write_bytes(altered)
        altered[position] ^= 1 << bit
        if not is_refused(tmp_path / "altered.whl", tmp_path / "store"):
            taken.append(position)
    assert taken == []


def test_every_altered_byte_of_a_big_member_is_refused_with_its_name(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(BIG_BYTES + 1000)
    content = made(tmp_path / "x.whl", {"big.bin": (data, False)}).read_bytes()
    begin = content.index(data)
    for position in [0, 1, *range(4321, len(data), 4321), len(data) - 1]:
        altered = bytearray(content)
        altered[begin + position] ^= 1
        (tmp_path / "altered.whl").write_bytes(altered)
        assert refusal(tmp_path / "altered.whl", tmp_path / "store").member == f"{UID_FOLDER}/tg/big.bin"


def test_every_cut_is_refused(tmp_path: Path) -> None:
    content = made(tmp_path / "x.whl").read_bytes()
    taken = []
    for length in range(len(content)):
        (tmp_path / "cut.whl").write_bytes(content[:length])
        if not is_refused(tmp_path / "cut.whl", tmp_path / "store"):
            taken.append(length)
    assert taken == []


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content + b"\0",
        lambda content: b"\0" + content,
        lambda content: content + content,
        lambda content: content[: len(content) // 2] + b"\0" + content[len(content) // 2 :],
        lambda content: content[: len(content) // 2] + content[len(content) // 2 + 1 :],
    ],
)
def test_what_was_added_or_left_out_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    content = made(tmp_path / "x.whl").read_bytes()
    (tmp_path / "x.whl").write_bytes(change(content))
    refusal(tmp_path / "x.whl", tmp_path / "store")


@pytest.mark.parametrize("content", [b"", b"PK", b"no package", b"PK\x05\x06" + bytes(18), bytes(100_000)])
def test_a_file_that_is_no_package_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.whl").write_bytes(content)
    refusal(tmp_path / "x.whl", tmp_path / "store")


def test_a_folder_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.whl").mkdir()
    assert "cannot be opened: Is a directory" in str(refusal(tmp_path / "folder.whl", tmp_path / "store"))
    assert "cannot be opened: No such file" in str(refusal(tmp_path / "gone.whl", tmp_path / "store"))


def test_a_wheel_of_somebody_else_is_refused_and_says_what_makes_one(tmp_path: Path) -> None:
    members = [Member.of("other/__init__.py", b"")]
    write_wheel(tmp_path / "x.whl", members, "other-1.0.dist-info", METADATA)
    assert "is no package: it has no package.json. make_package() makes one" in str(
        refusal(tmp_path / "x.whl", tmp_path / "store")
    )


# --- Forged: written with the standard library's zipfile, as a stranger would -------------------------------------


def repacked(file: Path, *added: tuple[zipfile.ZipInfo, bytes]) -> Path:
    """A sound package, and the added members, written anew by `zipfile`."""
    sound = made(file.with_name("sound.whl"))
    with zipfile.ZipFile(sound) as source, zipfile.ZipFile(file, "w") as target:
        for info in source.infolist():
            target.writestr(info, source.read(info))
        for info, data in added:
            target.writestr(info, data)
    return file


def plain(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name  # the constructor would clean it
    return info


UNSAFE = [
    "../x",
    f"{UID_FOLDER}/../../x",
    f"{UID_FOLDER}/..",
    "/x",
    "//x",
    "\\x",
    f"{UID_FOLDER}\\..\\..\\x",
    "C:x",
    f"{UID_FOLDER}//x",
    f"{UID_FOLDER}/./x",
    f"{UID_FOLDER}/folder/",
    f"{UID_FOLDER}/a\nb",
]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_member_that_would_leave_its_folder_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    error = refusal(repacked(tmp_path / "x.whl", (plain(name), b"")), tmp_path / "store")
    assert error.member == name
    assert repr(name) in str(error)


def test_a_member_that_is_there_twice_is_refused_with_its_name(tmp_path: Path) -> None:
    name = f"{UID_FOLDER}/tg/__init__.py"
    with pytest.warns(UserWarning, match="Duplicate name"):
        file = repacked(tmp_path / "x.whl", (plain(name), b"x = 2\n"))
    assert name in str(refusal(file, tmp_path / "store"))


def test_a_member_that_is_a_link_is_refused_with_its_name(tmp_path: Path) -> None:
    link = plain(f"{UID_FOLDER}/tg/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    error = refusal(repacked(tmp_path / "x.whl", (link, b"../../../etc/passwd")), tmp_path / "store")
    assert link.filename in str(error)


def test_a_member_that_is_compressed_is_refused_with_its_name(tmp_path: Path) -> None:
    compressed = plain(f"{UID_FOLDER}/tg/compressed.py")
    compressed.compress_type = zipfile.ZIP_DEFLATED
    error = refusal(repacked(tmp_path / "x.whl", (compressed, b"x = 1\n" * 100)), tmp_path / "store")
    assert compressed.filename in str(error)


def test_a_wheel_that_was_only_repacked_is_refused_and_says_so(tmp_path: Path) -> None:
    assert "was repacked" in str(refusal(repacked(tmp_path / "x.whl"), tmp_path / "store"))


# --- Forged by somebody who knows the form, and seals it -----------------------------------------------------------


def sealed(file: Path, members: Iterable[Member], *, record: str | None = None) -> Path:
    """An archive in the canonical form with a seal that fits, whatever is in it."""
    listed = [*members, *(Member.of(f"{DIST_INFO}/{name}", data) for name, data in METADATA.items())]
    if record is None:
        record = "".join(str(RecordedFile(one.path, one.digests.sha256, len(one.data))) for one in listed)
    listed.append(Member.of(RECORD, f"{record}{RECORD},,\n".encode()))
    with file.open("wb") as opened:
        write_archive(opened, ((one.path, one.data, one.digests.crc, one.executable) for one in listed))
    return file


def resealed(content: bytes) -> bytes:
    return content[:-64] + hashlib.sha256(content[:-64]).hexdigest().encode()


SOUND = members_of({"__init__.py": (b"x = 1\n", False)})


def test_what_is_sealed_and_in_order_is_taken(tmp_path: Path) -> None:
    """So that what follows is refused for what is wrong with it, and not for how it was made."""
    assert (
        Store(tmp_path / "store").install(sealed(tmp_path / "x.whl", SOUND), policy=Policy.any()).module_name
        == UID_FOLDER
    )


@pytest.mark.parametrize("name", UNSAFE)
def test_a_sealed_member_that_would_leave_its_folder_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    file = sealed(tmp_path / "x.whl", [*SOUND, Member.of(name, b"")])
    assert refusal(file, tmp_path / "store").member == name


@pytest.mark.parametrize("name", ["x.py", "other/x.py", "my_job__1_0_0_x/y", "my_job-1.0.1.dist-info/RECORD"])
def test_a_member_outside_the_packages_own_folders_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    file = sealed(tmp_path / "x.whl", [*SOUND, Member.of(name, b"")])
    assert refusal(file, tmp_path / "store").member == name


def test_a_sealed_member_that_is_there_twice_is_refused_with_its_name(tmp_path: Path) -> None:
    file = sealed(tmp_path / "x.whl", [*SOUND, SOUND[-1]])
    assert f"has the member {SOUND[-1].path} twice" in str(refusal(file, tmp_path / "store"))


def test_a_sealed_member_that_is_a_link_is_refused_with_its_name(tmp_path: Path) -> None:
    content = sealed(tmp_path / "x.whl", SOUND).read_bytes()
    regular, link = (((kind | 0o644) << 16).to_bytes(4, "little") for kind in (stat.S_IFREG, stat.S_IFLNK))
    (tmp_path / "x.whl").write_bytes(resealed(content.replace(regular, link, 1)))
    assert f"is a link or a device: {UID_FOLDER}/package.json" in str(refusal(tmp_path / "x.whl", tmp_path / "store"))


def test_a_file_that_is_also_a_folder_is_refused(tmp_path: Path) -> None:
    members = [Member.of(f"{UID_FOLDER}/tg/a", b""), Member.of(f"{UID_FOLDER}/tg/a/b", b"")]
    refusal(sealed(tmp_path / "x.whl", [*SOUND, *members]), tmp_path / "store")


def test_a_member_that_record_does_not_list_is_refused_with_its_name(tmp_path: Path) -> None:
    listed = sealed(tmp_path / "x.whl", SOUND)
    with zipfile.ZipFile(listed) as archive:
        record = archive.read(RECORD).decode().removesuffix(f"{RECORD},,\n")
    file = sealed(tmp_path / "x.whl", [*SOUND, Member.of(f"{UID_FOLDER}/tg/more.py", b"")], record=record)
    assert refusal(file, tmp_path / "store").member == f"{UID_FOLDER}/tg/more.py"


def test_a_member_that_is_missing_from_the_archive_is_refused_with_its_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(sealed(tmp_path / "x.whl", SOUND)) as archive:
        record = archive.read(RECORD).decode().removesuffix(f"{RECORD},,\n")
    file = sealed(tmp_path / "x.whl", SOUND[:-1], record=record)
    assert refusal(file, tmp_path / "store").member == SOUND[-1].path


def test_a_member_that_is_not_what_record_says_is_refused_with_its_name(tmp_path: Path) -> None:
    other = Member(SOUND[-1].path, b"x = 2\n", Digests(SOUND[-1].digests.sha256, Digests.of(b"x = 2\n").crc))
    file = sealed(tmp_path / "x.whl", [*SOUND[:-1], other])
    assert refusal(file, tmp_path / "store").member == other.path


@pytest.mark.parametrize("record", ["x\n", "a,sha256=%%%,1\n", "a,sha256=abc,many\n", "a,md5=abc,1\n", "a" * 200_000])
def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path, record: str) -> None:
    assert refusal(sealed(tmp_path / "x.whl", SOUND, record=record), tmp_path / "store").member is not None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b"\xff", b'{"format": 1}', b"[" * 100_000])
def test_facts_that_cannot_be_read_are_refused(tmp_path: Path, text: bytes) -> None:
    file = sealed(tmp_path / "x.whl", [Member.of(f"{UID_FOLDER}/package.json", text)])
    assert refusal(file, tmp_path / "store").member == f"{UID_FOLDER}/package.json"


def test_a_package_of_a_newer_form_is_told_from_an_altered_one(tmp_path: Path) -> None:
    """A later version may write archives that this one cannot read; `package.json` in them says so."""
    with zipfile.ZipFile(tmp_path / "x.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{UID_FOLDER}/package.json", b'{"format": 99}')
    error = refusal(tmp_path / "x.whl", tmp_path / "store")
    assert isinstance(error, IncompatiblePackage)
    assert "package format 99" in str(error)
