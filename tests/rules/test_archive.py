"""The archive and the wheel: one form, sealed; whatever is not as it was made is refused."""

from __future__ import annotations

import io
import mmap
import random
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.delivery import archive
from tg.common.delivery.delivery.archive import Archive, ArchiveError, write_archive
from tg.common.delivery.delivery.wheel import RecordedFile

MEMBERS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.tuples(st.binary(max_size=200), st.booleans()),
)


def made(members: dict[str, tuple[bytes, bool]]) -> bytes:
    file = io.BytesIO()
    write_archive(file, [(name, data, zlib.crc32(data), executable) for name, (data, executable) in members.items()])
    return file.getvalue()


@given(MEMBERS)
def test_what_was_written_is_read_again(members: dict[str, tuple[bytes, bool]]) -> None:
    read = Archive.of_bytes(made(members))
    read.check_seal()
    assert {name: (bytes(read.data(name)), entry.executable) for name, entry in read.entries.items()} == members


@given(MEMBERS)
def test_the_same_members_give_the_same_bytes(members: dict[str, tuple[bytes, bool]]) -> None:
    assert made(members) == made(dict(members))


def test_any_zip_reader_reads_it() -> None:
    content = made({"a/b.txt": (b"text", False), "a/run": (b"#!", True), "big": (bytes(100_000), False)})
    with zipfile.ZipFile(io.BytesIO(content)) as read:
        assert read.testzip() is None
        assert read.read("a/b.txt") == b"text"
        assert [info.external_attr >> 16 & 0o777 for info in read.infolist()] == [0o644, 0o755, 0o644]


SMALL = made({"a/b.txt": (b"text", False), "c": (b"", True), "d/é": (bytes(range(256)), False)})


@pytest.mark.parametrize("bit", range(8))
def test_every_altered_byte_is_noticed(bit: int) -> None:
    for position in range(len(SMALL)):
        altered = bytearray(SMALL)
        altered[position] ^= 1 << bit
        with pytest.raises(ArchiveError):
            Archive.of_bytes(bytes(altered)).check_seal()


def test_every_cut_is_noticed() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(ArchiveError):
            Archive.of_bytes(SMALL[:length]).check_seal()


def test_what_is_added_is_noticed() -> None:
    for altered in (SMALL + b"x", b"x" + SMALL, SMALL + SMALL):
        with pytest.raises(ArchiveError):
            Archive.of_bytes(altered).check_seal()


def test_the_data_of_big_members_is_left_to_their_own_hashes() -> None:
    content = made({"big": (bytes(70_000), False), "small": (b"x", False)})
    altered = bytearray(content)
    altered[1000] ^= 1
    assert Archive.of_bytes(bytes(altered)).check_seal() == Archive.of_bytes(content).check_seal()


def test_members_of_four_gigabytes_have_headers_that_zip_readers_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are lowered for this, so that nobody has to write 4 GiB; the form above them is the real one."""
    for limit, count in ((1, 3), (1, 0xFFFF), (150, 0xFFFF)):
        monkeypatch.setattr(archive, "_LIMIT", limit)
        monkeypatch.setattr(archive, "_COUNT_LIMIT", count)
        members = {"a": (b"1234567", False), "b": (b"12345678", True), "c": (b"", False)}
        content = made(members)
        read = Archive.of_bytes(content)
        read.check_seal()
        assert {name: bytes(read.data(name)) for name in read.entries} == {
            name: data for name, (data, _) in members.items()
        }


def test_an_archive_of_more_than_four_gigabytes_is_read_by_zipfile(tmp_path: Path) -> None:
    class Zeros:
        """Writes holes where zeros are, so that the file takes no room."""

        def __init__(self, path: Path) -> None:
            self.file = path.open("wb")

        def write(self, data: bytes | memoryview) -> None:
            if len(data) >= 1 << 20:  # the pieces that write_archive hands over are 16 MiB and less
                self.file.seek(len(data), io.SEEK_CUR)
            else:
                self.file.write(data)

    path = tmp_path / "big.zip"
    sink = Zeros(path)
    zeros = mmap.mmap(-1, (4 << 30) + 10)
    write_archive(sink, [("big", memoryview(zeros), 0, False), ("after", b"text", zlib.crc32(b"text"), False)])
    sink.file.close()
    assert path.stat().st_blocks * 512 < 1 << 20
    with zipfile.ZipFile(path) as read:
        assert [info.file_size for info in read.infolist()] == [(4 << 30) + 10, 4]
        assert read.read("after") == b"text"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 1 << 40),
)
def test_a_line_of_record_is_read_as_it_was_written(path: str, digest: bytes, size: int) -> None:
    line = RecordedFile(path, digest.hex(), size)
    assert RecordedFile.parse_all(str(line)) == {path: line}


def test_random_changes_of_many_bytes_are_noticed() -> None:
    chance = random.Random(0)
    for _ in range(200):
        altered = bytearray(SMALL)
        for _ in range(chance.randrange(1, 5)):
            altered[chance.randrange(len(altered))] = chance.randrange(256)
        if bytes(altered) != SMALL:
            with pytest.raises(ArchiveError):
                Archive.of_bytes(bytes(altered)).check_seal()
