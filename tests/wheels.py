"""Wheels as anybody could make them, for indexes of tests."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from importlib import metadata
from pathlib import Path


def write_wheel(
    folder: Path, name: str, files: dict[str, bytes], version: str = "1.0.0", requires: tuple[str, ...] = ()
) -> Path:
    """A wheel as anybody could make it; paths beginning with `data/` go to its `.data` folder."""
    info = f"{name}-{version}.dist-info"
    members = {
        path.replace("data/", f"{name}-{version}.data/", 1) if path.startswith("data/") else path: data
        for path, data in files.items()
    }
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    members[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}".encode()
    members[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if "entry_points.txt" in members:
        members[f"{info}/entry_points.txt"] = members.pop("entry_points.txt")
    record = io.StringIO()
    for path, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        csv.writer(record, lineterminator="\n").writerow([path, f"sha256={digest}", len(data)])
    record.write(f"{info}/RECORD,,\n")
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        for path, data in {**members, f"{info}/RECORD": record.getvalue().encode()}.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o755 if "/scripts/" in path else 0o644) << 16
            wheel.writestr(entry, data)
    return file


def write_installed_wheel(folder: Path, name: str) -> Path:
    """The wheel of a distribution that is installed here, made of its files, for an index that has no network."""
    distribution = metadata.distribution(name)
    files = {
        path.as_posix(): distribution.locate_file(path).read_bytes()  # type: ignore[attr-defined]
        for path in distribution.files or ()
        if not path.as_posix().startswith("..") and ".dist-info/" not in path.as_posix() and path.suffix != ".pyc"
    }
    requires = tuple(one for one in distribution.requires or () if "extra ==" not in one)
    return write_wheel(folder, name, files, distribution.version, requires)
