"""A package that was altered in any place is refused, or is provably the same; and what an archive can try is refused in bounds."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import Project
from soaking import Soak

from tg.common.delivery.delivery import archive, inspect_package, install_package_and_get_loader
from tg.common.delivery.delivery.archive import MEMBERS_LIMIT, write_archive
from tg.common.delivery.delivery.store import Store
from tg.common.delivery.delivery.wheel import Member, WheelReader
from tg.common.delivery.runtime.errors import DeliveryError, PackageRejected
from tg.common.delivery.trust import Policy

pytestmark = pytest.mark.usefixtures("unchecked")

Members = list[Member]


def written(members: Members) -> bytes:
    """An archive with a good seal around members that may be anything."""
    file = io.BytesIO()
    write_archive(file, [(one.path, one.data, one.digests.crc, one.executable) for one in members])
    return file.getvalue()


def flipped(data: bytes, members: Members, chance: random.Random) -> bytes:
    altered = bytearray(data)
    altered[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(altered)


def flipped_in_a_header(data: bytes, members: Members, chance: random.Random) -> bytes:
    """Where the directory and the end are, and so few bytes that chance alone would seldom get there."""
    altered = bytearray(data)
    altered[len(data) - 1 - chance.randrange(min(20_000, len(data)))] ^= 1 << chance.randrange(8)
    return bytes(altered)


def cut(data: bytes, members: Members, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def cut_out(data: bytes, members: Members, chance: random.Random) -> bytes:
    begin = chance.randrange(len(data))
    return data[:begin] + data[begin + chance.randint(1, 300) :]


def put_in(data: bytes, members: Members, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.randbytes(chance.randint(1, 40)) + data[place:]


def exchanged(data: bytes, members: Members, chance: random.Random) -> bytes:
    size = chance.randint(1, 64)
    one, other = sorted(chance.sample(range(len(data) // size), 2))
    parts = [data[index * size : (index + 1) * size] for index in (one, other)]
    return data[: one * size] + parts[1] + data[(one + 1) * size : other * size] + parts[0] + data[(other + 1) * size :]


def members_swapped(data: bytes, members: Members, chance: random.Random) -> bytes:
    one, other = chance.sample(range(len(members)), 2)
    changed = list(members)
    changed[one] = Member(members[one].path, members[other].data, members[other].digests, members[one].executable)
    changed[other] = Member(members[other].path, members[one].data, members[one].digests, members[other].executable)
    return written(changed)


def members_reordered(data: bytes, members: Members, chance: random.Random) -> bytes:
    return written(chance.sample(members, len(members)))


def member_added(data: bytes, members: Members, chance: random.Random) -> bytes:
    uid = members[0].path.partition("/")[0]
    name = chance.choice(["evil.pth", "sitecustomize.py", f"{uid}/evil.py", "tg/evil.py", "a-1.data/scripts/a", "x/y"])
    changed = [*members, Member.of(name, b"evil")]
    return written(changed if chance.random() < 0.5 else sorted(changed, key=lambda one: one.path))


def member_taken_out(data: bytes, members: Members, chance: random.Random) -> bytes:
    changed = list(members)
    del changed[chance.randrange(len(changed))]
    return written(changed)


def member_doubled(data: bytes, members: Members, chance: random.Random) -> bytes:
    one = chance.choice(members)
    changed = list(members)
    changed.insert(chance.randrange(len(members)), Member.of(one.path, chance.choice([bytes(one.data), b"evil"])))
    return written(changed)


def member_renamed(data: bytes, members: Members, chance: random.Random) -> bytes:
    index = chance.randrange(len(members))
    one = members[index]
    name = chance.choice(
        [one.path + "x", one.path.upper(), "../" + one.path, "/" + one.path, one.path.replace("/", "\\")]
    )
    return written([*members[:index], Member(name, one.data, one.digests, one.executable), *members[index + 1 :]])


def mode_changed(data: bytes, members: Members, chance: random.Random) -> bytes:
    index = chance.randrange(len(members))
    one = members[index]
    return written(
        [*members[:index], Member(one.path, one.data, one.digests, not one.executable), *members[index + 1 :]]
    )


MUTATIONS: list[Callable[[bytes, Members, random.Random], bytes]] = [
    *[flipped] * 6,
    *[flipped_in_a_header] * 3,
    *[cut, cut_out, put_in, exchanged],
    *[members_swapped, members_reordered, member_added, member_taken_out, member_doubled, member_renamed, mode_changed],
]


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder where a file is made quickly: this is about bytes, not about disks."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        yield Path(name)


@pytest.fixture
def package(project: Project) -> Path:
    project.write("tg/my/big.bin", random.Random(1).randbytes(100_000))
    return project.deliver()


def test_a_package_altered_anywhere_is_refused(package: Path, soak: Soak, in_memory: Path) -> None:
    data = package.read_bytes()
    with WheelReader(package) as wheel:
        members = [
            Member(path, bytes(wheel.data(path)), Member.of(path, bytes(wheel.data(path))).digests, entry.executable)
            for path, entry in wheel.members.items()
        ]
        seal = wheel.check_seal()
    assert written(members) == data
    store, chance = Store(in_memory / "store"), soak.random()
    policy = Policy.exactly(f"sha256:{seal}")
    file = in_memory / "altered.whl"
    ended: Counter[str] = Counter()
    times = soak.times(600, 20_000)
    for number in range(times):
        mutate = MUTATIONS[number % len(MUTATIONS)]
        file.write_bytes(altered := mutate(data, members, chance))
        told = f"{mutate.__name__}, number {number}, seed {soak.seed}"
        # Whoever trusts everything gets what is in one piece; whoever trusts a digest, nothing but what it is of.
        for who in (Policy.any(), policy):
            try:
                installed = store.install(file, policy=who)
            except DeliveryError:
                ended["refused"] += 1
            except BaseException as error:
                raise AssertionError(f"a bare {error!r} for {told}") from error
            else:
                same = installed.seal == seal and altered == data
                assert same or (who is not policy and mutate in (members_reordered, mode_changed)), told
                ended["the same" if same else "sealed anew, with the same files"] += 1
                store.remove(installed)
    assert not [name for name in sys.modules if name.startswith("my_job__")]
    assert not list(store.root.glob("tmp-*"))
    soak.tell(f"{times} alterations, each for two policies: {dict(ended)}")


UID = "my_job__1_0_0"
NAMES = {
    "a folder above": "../evil.py",
    "a folder above, further in": f"{UID}/../../evil.py",
    "an absolute path": "/tmp/evil.py",
    "a drive letter": "C:/evil.py",
    "a drive letter and a backslash": "C:\\evil.py",
    "a backslash": f"{UID}\\..\\evil.py",
    "a null byte": f"{UID}/a\0b.py",
    "a name of blanks and dots": f"{UID}/./evil.py",
    "an empty part": f"{UID}//evil.py",
    "a folder's name": f"{UID}/evil/",
    "other case": f"{UID}/PACKAGE.json",
    "another way to write an accent": f"{UID}/re\u0301sume\u0301.py",
    "a start-up hook": "evil.pth",
    "sitecustomize": "sitecustomize.py",
    "usercustomize": "usercustomize/__init__.py",
    "another package": "numpy/__init__.py",
    "scripts": "my_job-1.0.0.data/scripts/evil",
    "other data": "my_job-1.0.0.data/purelib/evil.pth",
    "entry points": "my_job-1.0.0.dist-info/entry_points.txt",
    "another's metadata": "numpy-2.0.0.dist-info/METADATA",
    "a file where a folder is": f"{UID}/tg",
    "a member that is there twice": f"{UID}/package.json",
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_that_does_not_belong_is_refused(sound_package: Path, tmp_path: Path, kind: str) -> None:
    file = sound_package
    outside = sorted(tmp_path.rglob("*"))
    name = NAMES[kind]
    with WheelReader(file) as wheel:
        members = [Member.of(path, bytes(wheel.data(path))) for path in wheel.members]
    if kind == "another way to write an accent":
        name = name.replace(f"{UID}/", f"{UID}/tg/my/")
    record = f"{name},sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n".encode()
    changed = [
        Member.of(one.path, record + bytes(one.data)) if one.path.endswith("/RECORD") else one
        for one in [Member.of(name, b""), *members]
    ]
    file.write_bytes(written(changed))
    with pytest.raises(PackageRejected) as caught:
        install_package_and_get_loader(file, policy=Policy.any(), silent=True)
    told = str(caught.value)
    assert caught.value.member is not None or "twice" in told
    assert (caught.value.member or name) in told or repr(caught.value.member) in told
    assert sorted(tmp_path.rglob("*")) == outside


def zipped(fill: Callable[[zipfile.ZipFile], None]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        fill(archive)
    return file.getvalue()


def linked(kind: int) -> Callable[[zipfile.ZipFile], None]:
    """A symbolic link or a device, as a zip file has it: by its mode."""

    def fill(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(f"{UID}/link")
        info.create_system = 3
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
        archive.writestr(f"{UID}/package.json", "{}")

    return fill


def bomb(archive: zipfile.ZipFile) -> None:
    with archive.open(zipfile.ZipInfo(f"{UID}/package.json"), "w") as member:
        archive.compression = zipfile.ZIP_DEFLATED
        member._compressor = zipfile._get_compressor(zipfile.ZIP_DEFLATED)
        member._zinfo.compress_type = zipfile.ZIP_DEFLATED
        for _ in range(256):
            member.write(bytes(1 << 20))


def overlapping() -> bytes:
    """Two entries of the directory that have one member's data: the better bombs are made so."""
    data = zipped(lambda archive: archive.writestr(f"{UID}/package.json", "x" * 1000))
    begin = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[begin:end]
    count = 20_000
    directory = entry * count
    return (
        data[:begin] + directory + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(directory), begin, 0)
    )


def many_members(count: int) -> bytes:
    """So many entries, all in order and under a good seal, but for there being so many."""
    file = io.BytesIO()
    write_archive(file, ((f"{UID}/{number}", b"", 0, False) for number in range(count)))
    return file.getvalue()


def one_member_many_times(count: int) -> bytes:
    """A directory that has one member so many times, under a good seal: zip readers take it, and it is made in a moment."""
    file = io.BytesIO()
    write_archive(file, [(f"{UID}/0", b"", 0, False)])
    data = file.getvalue()
    begin, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    made = data[:begin] + data[begin:end] * count + archive._end(begin, (end - begin) * count, count)
    return made + hashlib.sha256(made).hexdigest().encode()


def endless_directory() -> bytes:
    """An end that tells of a directory of 4 GiB."""
    return b"x" * 100 + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFE, 0xFFFE, 0xFFFFFFF0, 0, 82)


TRICKS: dict[str, Callable[[], bytes]] = {
    "a symbolic link": lambda: zipped(linked(0o120000)),
    "a character device": lambda: zipped(linked(0o020000)),
    "a block device": lambda: zipped(linked(0o060000)),
    "a pipe": lambda: zipped(linked(0o010000)),
    "a socket": lambda: zipped(linked(0o140000)),
    "a zip bomb": lambda: zipped(bomb),
    "overlapping members": overlapping,
    "a million members": lambda: one_member_many_times(1_000_000),
    "one member too many": lambda: many_members(MEMBERS_LIMIT + 1),
    "an endless directory": endless_directory,
}


def forget_peak() -> None:
    """Let the peak count from here: otherwise nothing grows that stays below an earlier one (man 5 proc, clear_refs)."""
    with contextlib.suppress(PermissionError):  # some containers do not let one
        Path("/proc/self/clear_refs").write_text("5")


def peak_kibibytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def test_a_directory_of_one_member_many_times_is_one_that_zip_readers_take() -> None:
    for count in (3, 0x10000):
        with zipfile.ZipFile(io.BytesIO(one_member_many_times(count))) as read:
            assert len(read.infolist()) == count


@pytest.mark.parametrize("kind", TRICKS)
def test_a_trick_is_refused_within_bounds(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "trick.whl"
    file.write_bytes(TRICKS[kind]())
    outside = sorted(tmp_path.rglob("*"))
    forget_peak()
    before = peak_kibibytes()
    started = time.process_time()
    with pytest.raises(PackageRejected) as caught:
        install_package_and_get_loader(file, policy=Policy.any(), silent=True)
    took = time.process_time() - started
    grown = (peak_kibibytes() - before) * 1024
    assert grown < 200 << 20, f"{grown >> 20} MiB"
    assert took < 20, f"{took} s"  # no bound on speed: unbounded work is hours, or does not end
    assert str(file) in str(caught.value)
    if kind in ("a symbolic link", "a character device", "a block device", "a pipe", "a socket"):
        assert f"{UID}/link" in str(caught.value)
    with pytest.raises(PackageRejected):
        inspect_package(file)
    assert sorted(tmp_path.rglob("*")) == outside


@pytest.fixture
def swaps(project: Project, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A good package, an evil one of the same size, and what the evil one would touch."""
    canary = tmp_path / "canary"
    touch = f"open({str(canary)!r}, 'w').close()"
    project.write("tg/my/big.bin", b"good" * 30_000)
    project.write("tg/my/job.py", f"class Job:\n    def run(self):\n        return 'good'  # {touch}\n")
    good = project.deliver()
    good = good.rename(tmp_path / "good.whl")
    project.write("tg/my/big.bin", b"evil" * 30_000)
    project.write("tg/my/job.py", f"{touch}\nclass Job:\n    def run(self):\n        return 'evil'\n")
    evil = project.deliver(job="tg.my.job:Job()").rename(tmp_path / "evil.whl")
    canary.unlink()
    return good, evil, canary


def test_a_file_swapped_while_it_is_used_changes_nothing(
    swaps: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each read that installing makes, another file is put in the place; then its bytes are written over it."""
    good, evil, canary = swaps
    seal = inspect_package(good).digest
    contents = good.read_bytes(), evil.read_bytes()
    file = tmp_path / "sent.whl"
    calls = 0
    for in_place in (False, True):
        reads = 1
        number = 0
        while number < reads:
            file.write_bytes(contents[0])
            calls = 0

            def swapping(
                pread: Callable[..., bytes], *arguments: int, at: int = number, over: bool = in_place
            ) -> bytes:
                nonlocal calls
                found = pread(*arguments)
                if calls == at:
                    if over:
                        with file.open("r+b") as opened:
                            opened.write(contents[1])
                    else:
                        (tmp_path / "next").write_bytes(contents[1])
                        os.replace(tmp_path / "next", file)
                calls += 1
                return found

            with monkeypatch.context() as patched:
                pread = os.pread
                patched.setattr(os, "pread", lambda *arguments, pread=pread: swapping(pread, *arguments))
                try:
                    entry_point = install_package_and_get_loader(file, policy=Policy.exactly(seal), silent=True)
                except PackageRejected:
                    pass
                else:
                    assert entry_point.load_resource("job").run() == "good"
                    entry_point.unload()
                    Store().remove(Store().packages()[0])
            assert not canary.exists(), f"swapped after read {number}"
            reads = max(reads, calls)
            number += 1
        assert reads >= 3  # its end, its directory, its data
    entry_point = install_package_and_get_loader(evil, policy=Policy.any(), silent=True)
    assert entry_point.load_resource("job").run() == "evil"
    assert canary.exists()  # so it would have told
