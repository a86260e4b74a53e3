"""Layers: the same files give the same bytes, in one order, with one time and owner."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.images.blob import Layer
from tg.common.delivery.images.layer_writer import FIXED_TIME, LayerFile, compress_layer, write_layer

NAMES = st.text("abcdefgä. -_", min_size=1, max_size=12).filter(lambda name: name.strip(". "))


def members_of(layer: Layer) -> list[tarfile.TarInfo]:
    with layer.blob.open() as stream, tarfile.open(fileobj=gzip.GzipFile(fileobj=stream)) as archive:
        return archive.getmembers()


def test_the_order_of_the_files_makes_no_difference() -> None:
    files = [LayerFile("b/x", b"1"), LayerFile("a", b"2"), LayerFile("b", mode=0o1777, owner=1000)]
    assert write_layer(files, "test") == write_layer(reversed(files), "test")


def test_parents_come_first_and_each_once() -> None:
    layer = write_layer([LayerFile("a/b/c.py", b""), LayerFile("a/b.py", b""), LayerFile("a/b/d.py", b"")], "test")
    assert [member.name for member in members_of(layer)] == ["a", "a/b", "a/b/c.py", "a/b/d.py", "a/b.py"]


def test_everything_is_roots_and_of_one_time_unless_it_says_otherwise() -> None:
    files = [
        LayerFile("bin/tool", b"#!", executable=True),
        LayerFile("lib/link.so", link="real.so"),
        LayerFile("lib/real.so", b"elf"),
        LayerFile("home", mode=0o1777, owner=1000),
    ]
    found = {member.name: member for member in members_of(write_layer(files, "test"))}
    assert {member.mtime for member in found.values()} == {FIXED_TIME}
    assert {name: (member.uid, member.gid) for name, member in found.items() if member.uid} == {"home": (1000, 1000)}
    assert {name: oct(member.mode) for name, member in found.items()} == {
        "bin": "0o755",
        "bin/tool": "0o755",
        "home": "0o1777",
        "lib": "0o755",
        "lib/link.so": "0o777",
        "lib/real.so": "0o644",
    }
    assert found["lib/link.so"].issym()
    assert found["lib/link.so"].linkname == "real.so"


@given(st.dictionaries(NAMES, st.binary(max_size=3000), max_size=8))
def test_what_is_written_is_read_back(files: dict[str, bytes]) -> None:
    layer = write_layer([LayerFile(name, data) for name, data in files.items()], "test")
    with layer.blob.open() as stream:
        blob = stream.read()
    tar = gzip.decompress(blob)
    assert layer.blob.digest == f"sha256:{hashlib.sha256(blob).hexdigest()}"
    assert layer.blob.size == len(blob)
    assert layer.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        read = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}  # type: ignore[union-attr]
    assert read == files


def test_files_bytes_and_mappings_give_the_same_layer(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 5000)
    in_memory = write_layer([LayerFile("data", b"x" * 5000)], "test")
    assert write_layer([LayerFile("data", tmp_path / "data")], "test") == in_memory
    assert write_layer([LayerFile("data", memoryview(b"x" * 5000))], "test") == in_memory
    assert write_layer([LayerFile("data", b"x" * 5000)], "test", into=tmp_path / "blob") == in_memory


def test_a_big_layer_can_be_read_any_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tg.common.delivery.images.layer_writer._IN_MEMORY_BYTES", 1000)
    data = hashlib.shake_128(b"noise").digest(200_000)  # it cannot be made smaller
    layer = write_layer([LayerFile("big", data)], "test")
    for _ in range(2):
        with layer.blob.open() as first, layer.blob.open() as second:
            assert hashlib.sha256(first.read()).hexdigest() == layer.blob.digest[7:]
            assert second.read(2) == b"\x1f\x8b"


def test_a_tar_of_another_is_compressed_anew_whether_it_was_or_not(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("etc"))
    plain = compress_layer(io.BytesIO(out.getvalue()), "base", tmp_path / "plain")
    zipped = compress_layer(io.BytesIO(gzip.compress(out.getvalue())), "base", tmp_path / "zipped")
    assert plain == zipped
    assert plain.diff_id == f"sha256:{hashlib.sha256(out.getvalue()).hexdigest()}"


def header_of(info: tarfile.TarInfo) -> bytes:
    """What tarfile writes: in the old form if that has room for it, which is shorter."""
    try:
        if not info.name.isascii():
            raise ValueError
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    except ValueError:
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@given(st.lists(st.text("abc", min_size=1, max_size=130), min_size=1, max_size=6).map("/".join))
def test_long_names_are_read_back(name: str) -> None:
    for file in (LayerFile(name), LayerFile(name, b"x"), LayerFile(name, link=name)):
        assert [member.name for member in members_of(write_layer([file], "test"))][-1] == name


@given(NAMES.map(lambda name: f"opt/tg/{name}/" + "x" * 60) | NAMES, st.integers(0, 8**12), st.booleans())
def test_headers_are_those_of_tarfile(name: str, size: int, executable: bool) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.mtime, info.size = 0o755 if executable else 0o644, FIXED_TIME, size
    assert LayerFile(name, b"", executable=executable).header(size) == header_of(info)


@pytest.mark.parametrize("name", ["home/job", "a" * 98, "a" * 99, "b/" + "a" * 99, "ä" * 50])
def test_headers_of_folders_and_links_are_those_of_tarfile(name: str) -> None:
    for kind, file in ((tarfile.DIRTYPE, LayerFile(name)), (tarfile.SYMTYPE, LayerFile(name, link="there"))):
        info = tarfile.TarInfo(name)
        info.type, info.mtime = kind, FIXED_TIME
        info.mode, info.linkname = (0o755, "") if kind == tarfile.DIRTYPE else (0o777, "there")
        expected = header_of(info) if file.link is None else info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        assert file.header(0) == expected
