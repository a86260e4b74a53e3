"""Dependency layers: what uv installs, as layers that are the same bytes every time and shared between jobs."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.util
import marshal
import stat
import sys
import tarfile
from pathlib import Path
from types import CodeType

import pytest
from wheels import write_wheel

from tg.common.delivery.environments.lock import Lock
from tg.common.delivery.environments.platform import Platform
from tg.common.delivery.images.blob import Layer
from tg.common.delivery.images.bytecode import Interpreter
from tg.common.delivery.images.dependency_layers import dependency_layers
from tg.common.delivery.runtime.errors import DependencyProblem

PYTHON = "{}.{}".format(*sys.version_info[:2])
PLATFORM = Platform("amd64")
BASE = f"opt/tg/lib/python{PYTHON}/site-packages"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="wheels of these tests are for Linux")


def layers_of(*requirements: str) -> tuple[Layer, ...]:
    return dependency_layers(Lock.of(requirements, PYTHON, PLATFORM), Interpreter.of_version(PYTHON))


def files_of(*layers: Layer) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    found = {}
    for layer in layers:
        with layer.blob.open() as stream, tarfile.open(fileobj=gzip.GzipFile(fileobj=stream)) as archive:
            for member in archive.getmembers():
                opened = archive.extractfile(member) if member.isfile() else None
                found[member.name] = member, opened.read() if opened else b""
    return found


def test_no_requirements_are_no_layers() -> None:
    assert layers_of() == ()


def test_modules_have_unchecked_bytecode_with_the_path_in_the_image(index: Path) -> None:
    source = b"def answer():\n    return 42\n"
    write_wheel(index, "plain", {"plain/__init__.py": source})
    files = files_of(*layers_of("plain"))
    compiled = files[f"{BASE}/plain/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"][1]
    assert compiled[:4] == importlib.util.MAGIC_NUMBER
    assert compiled[4:8] == (1).to_bytes(4, "little")  # PEP 552: by hash, and not looked at again
    assert compiled[8:16] == importlib.util.source_hash(source)
    code = marshal.loads(compiled[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == f"/{BASE}/plain/__init__.py"


def test_tests_and_what_does_not_parse_have_no_bytecode(index: Path) -> None:
    files = {"odd/__init__.py": b"", "odd/template.py": b"class {{ name }}:\n", "odd/tests/test_x.py": b"x = 1\n"}
    write_wheel(index, "odd", files)
    names = [name for name in files_of(*layers_of("odd")) if "/odd/" in name and not name.endswith("__pycache__")]
    cache = f"__init__.{sys.implementation.cache_tag}.pyc"
    assert sorted(name.removeprefix(f"{BASE}/odd/") for name in names) == [
        "__init__.py",
        f"__pycache__/{cache}",
        "template.py",
        "tests",
        "tests/test_x.py",
    ]


def test_scripts_find_python_in_the_image_and_record_has_their_hashes(index: Path) -> None:
    write_wheel(
        index,
        "tool",
        {
            "tool.py": b"def main(): print('done')\n",
            "entry_points.txt": b"[console_scripts]\ntool = tool:main\n",
            "data/scripts/old-tool": b"#!python\nprint('old')\n",
            "data/scripts/shell-tool": b"#!/bin/sh\necho shell\n",
            "data/scripts/program": b"\x7fELF\n#!/usr/bin/env python\n",
        },
    )
    files = files_of(*layers_of("tool"))
    shebang = f"#!/usr/bin/env python{PYTHON}\n".encode()
    for name in ("tool", "old-tool"):
        member, data = files[f"opt/tg/bin/{name}"]
        assert data.startswith(shebang)
        assert stat.S_IMODE(member.mode) == 0o755
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        assert f"bin/{name},sha256={digest},{len(data)}" in files[f"{BASE}/tool-1.0.0.dist-info/RECORD"][1].decode()
    assert files["opt/tg/bin/shell-tool"][1] == b"#!/bin/sh\necho shell\n"
    assert files["opt/tg/bin/program"][1] == b"\x7fELF\n#!/usr/bin/env python\n"  # it has such a line among its data
    assert b"/tmp" not in files["opt/tg/bin/tool"][1]


def test_pth_files_and_data_files_are_kept_in_their_places(index: Path) -> None:
    files = {"hook.pth": b"import sys\n", "hook.py": b"", "data/data/share/hook/words.txt": b"words"}
    write_wheel(index, "hook", files)
    found = files_of(*layers_of("hook"))
    assert found[f"{BASE}/hook.pth"][1] == b"import sys\n"
    assert found["opt/tg/share/hook/words.txt"][1] == b"words"


def test_all_is_roots_of_one_time_and_readable_whatever_the_umask(index: Path) -> None:
    write_wheel(index, "plain", {"plain.py": b""})
    for member, _ in files_of(*layers_of("plain")).values():
        assert (member.uid, member.gid, member.mtime) == (0, 0, 315532800)
        assert stat.S_IMODE(member.mode) in ((0o755,) if member.isdir() else (0o644, 0o755))


def test_the_same_lock_gives_the_same_bytes_on_another_machine(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "\n".join(f"def f{n}(a, b={n}): return a in {{'x', 'y', 'z', {n}}}" for n in range(50)).encode()
    write_wheel(index, "plain", {"plain/__init__.py": source, "plain/other.py": b"from . import f1\n"})
    entry_points = b"[console_scripts]\nplain = plain:f1\n"
    write_wheel(index, "tool", {"tool.py": source, "entry_points.txt": entry_points})
    here = layers_of("plain", "tool")
    monkeypatch.setenv("TG_HOME", str(tmp_path / "a much longer name of another home"))
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert [layer.blob.digest for layer in layers_of("plain", "tool")] == [layer.blob.digest for layer in here]


def test_a_layer_is_made_once(index: Path) -> None:
    write_wheel(index, "plain", {"plain.py": b""})
    first = layers_of("plain")
    (index / "plain-1.0.0-py3-none-any.whl").unlink()  # neither resolved nor installed again
    assert layers_of("plain") == first


def test_a_big_distribution_has_its_own_layer_and_adding_one_moves_one(index: Path) -> None:
    noise = hashlib.shake_128(b"noise").digest(9 * 1024 * 1024)
    write_wheel(index, "big", {"big.py": b"", "big.bin": noise})
    write_wheel(index, "small", {"small.py": b""})
    write_wheel(index, "tiny", {"tiny.py": b""})
    write_wheel(index, "huge", {"huge.py": b"", "huge.bin": noise})
    before = layers_of("big", "small", "tiny")
    assert [layer.created_by for layer in before] == [
        "dependencies: big==1.0.0",
        "dependencies: small==1.0.0 tiny==1.0.0",
    ]
    after = layers_of("big", "small", "tiny", "huge")
    assert [layer for layer in after if layer not in before] == [
        layer for layer in after if layer.created_by == "dependencies: huge==1.0.0"
    ]


def test_a_blob_that_has_gone_is_made_again(index: Path, tmp_path: Path) -> None:
    write_wheel(index, "plain", {"plain.py": b""})
    (layer,) = layers_of("plain")
    (tmp_path / "home/images" / layer.blob.file).unlink()
    (again,) = layers_of("plain")
    assert again == layer
    assert again.blob.read()[:2] == b"\x1f\x8b"


def test_what_has_no_version_that_fits_is_told_in_the_resolvers_words(index: Path) -> None:
    write_wheel(index, "plain", {"plain.py": b""})
    with pytest.raises(DependencyProblem, match=r"plain>=2|plain<2"):
        Lock.of(["plain>=2"], PYTHON, PLATFORM)


def test_a_wheel_for_another_platform_is_refused_in_the_resolvers_words(index: Path) -> None:
    file = write_wheel(index, "compiled", {"compiled.py": b""})
    file.rename(index / "compiled-1.0.0-cp311-cp311-win_amd64.whl")
    with pytest.raises(DependencyProblem, match="compiled"):
        Lock.of(["compiled"], PYTHON, PLATFORM)


def test_resolving_for_another_python_neither_looks_for_it_nor_downloads_it(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(index, "plain", {"plain.py": b""})
    asked = tmp_path / "asked"
    (tmp_path / "bin").mkdir()
    for name in ("python", "python3", "python3.14"):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\ntouch {asked}\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert [pin.name for pin in Lock.of(["plain"], "3.14", PLATFORM).pins] == ["plain"]
    assert not asked.exists()


def test_renewing_takes_what_is_there_now(index: Path) -> None:
    write_wheel(index, "plain", {"plain.py": b""})
    assert [pin.version for pin in Lock.of(["plain"], PYTHON, PLATFORM).pins] == ["1.0.0"]
    write_wheel(index, "plain", {"plain.py": b""}, "1.1.0")
    assert [pin.version for pin in Lock.of(["plain"], PYTHON, PLATFORM).pins] == ["1.0.0"]
    assert [pin.version for pin in Lock.of(["plain"], PYTHON, PLATFORM, renew=True).pins] == ["1.1.0"]


def test_an_altered_wheel_is_refused_by_its_hash(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(index, "plain", {"plain.py": b""})
    lock = Lock.of(["plain"], PYTHON, PLATFORM)
    write_wheel(index, "plain", {"plain.py": b"import os\n"})
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another cache"))
    with pytest.raises(DependencyProblem, match=r"(?i)hash"):
        dependency_layers(lock, Interpreter.of_version(PYTHON))
