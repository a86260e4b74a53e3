"""Looking before loading: what `inspect_package` and `tg inspect` show, and that nothing of the package is run for it."""

from __future__ import annotations

import contextlib
import json
import pickle
import pickletools
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import REPOSITORY, Project

from tg.common.delivery.delivery import inspect_package
from tg.common.delivery.delivery.inspecting import PackageReport, Reference
from tg.common.delivery.delivery.references import UNKNOWN, references_in
from tg.common.delivery.delivery.signing import sign_package
from tg.common.delivery.delivery.wheel import Member, WheelReader, write_wheel
from tg.common.delivery.runtime.errors import PackageRejected
from tg.common.delivery.trust import Policy, SigningKey

pytestmark = pytest.mark.usefixtures("unchecked")


def with_job(file: Path, job: bytes) -> Path:
    """The package with another pickle for its job, sealed anew: what somebody hostile would send."""
    with WheelReader(file) as wheel:
        members = [Member.of(path, bytes(wheel.data(path))) for path in wheel.members]
        facts = wheel.facts
    changed = [
        Member.of(one.path, job) if one.path == f"{facts.module_name}/resources/job" else one
        for one in members
        if not one.path.startswith(facts.dist_info)
    ]
    metadata = {
        one.path.rpartition("/")[2]: bytes(one.data)
        for one in members
        if one.path.startswith(facts.dist_info) and not one.path.endswith("/RECORD")
    }
    write_wheel(file, changed, facts.dist_info, metadata)
    return file


def references(report: PackageReport, key: str = "job") -> dict[str, str]:
    (resource,) = (one for one in report.resources if one.key == key)
    return {str(one): one.home for one in resource.references}


def test_a_report_says_what_is_in_a_package(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project.deliver()
    monkeypatch.setenv("TG_HOME", str(tmp_path / "where it lands"))
    key = SigningKey.new(tmp_path / "key", comment="me")
    before = inspect_package(file)
    assert before.signature is None
    manifest = sign_package(file, key, expires=timedelta(days=1))
    report = inspect_package(file)
    assert (report.facts.uid.name, report.facts.uid.version, report.facts.module_name) == (
        "my_job",
        "1.0.0",
        "my_job__1_0_0",
    )
    assert report.digest != before.digest
    assert report.digest.startswith("sha256:")
    assert report.signature is not None
    assert (report.signature.signer, report.signature.fits) == (key.public, True)
    assert report.signature.manifest == manifest
    assert report.files["my_job__1_0_0/tg/my/job.py"].size == len((project.folder / "tg/my/job.py").read_bytes())
    assert references(report) == {"my_job__1_0_0.tg.my.job.Job": "package"}
    assert report.marked == ()
    assert not report.trusted
    assert "it was not made here by this user" in report.verdict
    assert inspect_package(file, policy=Policy.exactly(report.digest)).trusted


def test_nothing_of_a_package_is_run(project: Project, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    touch = f"import os\nif 'my' not in os.environ: open({str(canary)!r}, 'w').close()\n"
    project.write("tg/my/__init__.py", touch)
    file = project.deliver(my="here")
    with_job(file, pickle.dumps(Touches(str(canary)), 5))
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; from tg.common.delivery.delivery import inspect_package; print(inspect_package({str(file)!r}));"
            "print([name for name in sys.modules if name.startswith('my_job')])",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "! posix.system  OF PYTHON ITSELF" in printed or "! nt.system" in printed
    assert printed.splitlines()[-1] == "[]"
    assert not canary.exists()
    pickle.loads(pickle.dumps(Touches(str(canary))))
    assert canary.exists()  # so it would have told


class Touches:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os.system, (f"touch '{self.path}'",)


HOSTILE = {
    "global": (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
    "instance": (b"(S'true'\nios\nsystem\n.", "os.system"),
    "stack global": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
    "of texts of Python 2": (b"\x80\x04U\x02osU\x06system\x93.", "os.system"),
    "from the memo": (b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94h\x01h\x00\x93.", "os.system"),
    "from the memo by number": (
        b"\x80\x04\x8c\x06systemq\x05\x8c\x02osr\xff\x00\x00\x00j\xff\x00\x00\x00h\x05\x93.",
        "os.system",
    ),
    "twice": (b"\x80\x04\x8c\x02os2\x93.", "os.os"),
    "made up": (b"\x80\x04cbuiltins\nstr\n(tR\x8c\x06system\x93.", "?.?"),
    "extension": (b"\x80\x04\x82\x01.", "?.copyreg extension 1"),
    "after a mark": (b"\x80\x04(\x8c\x01a\x8c\x01b1\x8c\x02os\x8c\x06system\x93.", "os.system"),
    "importing": (b"cimportlib\nimport_module\n(S'os'\ntR.", "importlib.import_module"),
    "marshalled code": (b"cmarshal\nloads\n.", "marshal.loads"),
    "getattr": (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
    "a pickle in a pickle": (b"c_pickle\nloads\n.", "_pickle.loads"),
    "somebody else's": (b"csomebody.elses\nname\n.", "somebody.elses.name"),
    "an imported one of the package": (b"cmy_job__1_0_0.tg.my.job\nos\n.", "my_job__1_0_0.tg.my.job.os"),
    "through the package": (
        b"\x80\x04\x8c\x17my_job__1_0_0.tg.my.job\x8c\tos.system\x93.",
        "my_job__1_0_0.tg.my.job.os.system",
    ),
    "a module the package does not have": (b"cmy_job__1_0_0.tg.nothing\nName\n.", "my_job__1_0_0.tg.nothing.Name"),
    "what a terminal would obey": (b"c\x1b[2Jos\nsystem\n.", "\x1b[2Jos.system"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_outside_is_marked(project: Project, kind: str) -> None:
    pickled, named = HOSTILE[kind]
    project.write("tg/my/job.py", "import os\nclass Job:\n    def run(self):\n        return 'one'\n")
    report = inspect_package(with_job(project.deliver(), pickled))
    assert named in [str(one) for one in report.marked]
    shown = str(report)
    assert "marked: outside of the package" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "pickled", [b"", b"garbage", b"\x80\x05", b"0.", b"1.", b"h\x05.", b"\x93.", b"\x80\x05\x8d" + b"\xff" * 8]
)
def test_a_pickle_that_cannot_be_read_is_told(project: Project, pickled: bytes) -> None:
    report = inspect_package(with_job(project.deliver(), pickled))
    (resource,) = report.resources
    assert resource.problem is not None
    assert "its pickle cannot be read through" in str(report)


def test_dependencies_that_are_declared_are_not_marked(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        import datetime
        import numpy
        class Job:
            def __init__(self):
                self.values = numpy.zeros(100_000)
                self.when = datetime.date(2026, 1, 1)
            def run(self):
                return "one"
        """,
    )
    file = project.deliver(
        settings="packaging.dependencies = (DependencyList('mine', ['numpy', 'not-installed-anywhere>=2']),)"
    )
    report = inspect_package(file)
    assert report.marked == ()
    assert set(references(report).values()) == {"package", "plain", "dependency"}
    assert [one.buffers for one in report.resources] == [(800_000,)]
    assert report.missing == ("not-installed-anywhere",)
    assert "not installed here: not-installed-anywhere" in str(report)


def test_an_altered_package_is_refused(project: Project) -> None:
    file = project.deliver()
    data = bytearray(file.read_bytes())
    data[data.index(b'return "one"') + 8] ^= 1
    file.write_bytes(data)
    with pytest.raises(PackageRejected, match="was altered after it was made"):
        inspect_package(file)


def test_a_signature_that_does_not_fit_is_told(project: Project, tmp_path: Path) -> None:
    from tg.common.delivery.delivery.wheel import ENVELOPE_FILE

    file = project.deliver()
    sign_package(file, SigningKey.new(tmp_path / "key", comment="me"))
    with WheelReader(file) as wheel:
        members = [Member.of(path, bytes(wheel.data(path))) for path in wheel.members]
        dist_info = wheel.facts.dist_info
    metadata = {one.path.rpartition("/")[2]: bytes(one.data) for one in members if one.path.startswith(dist_info)}
    metadata.pop("RECORD")
    envelope = json.loads(metadata[ENVELOPE_FILE])
    envelope["signatures"][0]["sig"] = "AAAA" + envelope["signatures"][0]["sig"][4:]
    metadata[ENVELOPE_FILE] = json.dumps(envelope).encode()
    write_wheel(file, [one for one in members if not one.path.startswith(dist_info)], dist_info, metadata)
    report = inspect_package(file)
    assert report.signature is not None
    assert not report.signature.fits
    assert "signed      NOT by me" in str(report)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.sampled_from([dict, np.float64, Path]),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner) | st.frozensets(st.text())
        ),
    ),
    st.integers(0, 5),
)
def test_references_are_those_that_unpickling_looks_up(value: object, protocol: int) -> None:
    class Watching(pickle._Unpickler):  # type: ignore[name-defined,misc]
        def find_class(self, module: str, name: str) -> object:
            seen.add((module, name))
            return super().find_class(module, name)

    import io

    seen: set[tuple[str, str]] = set()
    pickled = pickle.dumps(value, protocol)
    Watching(io.BytesIO(pickled), fix_imports=False, encoding="bytes").load() if protocol > 2 else None
    found = set(references_in(pickled))
    assert seen <= found
    assert (UNKNOWN, UNKNOWN) not in found
    assert set(references_in(pickletools.optimize(pickled))) == found


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        references_in(data)


def run_tg(*arguments: object, home: Path) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "tg.common.cli", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        env={**os.environ, "TG_HOME": str(home), "COLUMNS": "100"},
        check=False,
    )


@pytest.fixture
def tg(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda *arguments: run_tg(*arguments, home=tmp_path / "home")


def test_a_key_is_made_shown_and_signs(
    tg: Callable[..., subprocess.CompletedProcess[str]], project: Project, tmp_path: Path
) -> None:
    made = tg("keys", "new", "--comment", "me")
    assert made.returncode == 0, made.stderr
    public = (tmp_path / "home/keys/signing.pub").read_text().strip()
    assert public in made.stdout
    assert public in tg("keys", "show").stdout
    assert tg("keys", "show", tmp_path / "home/keys/signing.pub").stdout == tg("keys", "show").stdout
    file = project.deliver()
    signed = tg("sign", file, "--expires", "90d", "--sequence", "7")
    assert signed.stdout.startswith("my_job__1_0_0 is signed by SHA256:")
    assert signed.stdout.endswith(", sequence 7\n")
    told = json.loads(tg("inspect", file, "--json").stdout)
    assert told["signature"]["sequence"] == 7
    assert told["signature"]["signer"] == public
    assert Policy.signed_by({"my_job": [public]}) is not None
    shown = tg("inspect", file).stdout
    assert "  signed      by me (SHA256:" in shown
    again = tg("keys", "new")
    assert (again.returncode, again.stdout) == (1, "")
    assert "is there already" in again.stderr


def test_what_is_refused_is_one_message(tg: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    (tmp_path / "no package").write_bytes(b"PK\x03\x04")
    refused = tg("inspect", tmp_path / "no package")
    assert refused.returncode == 1
    assert refused.stderr.startswith("tg: ")
    assert "Traceback" not in refused.stderr
    assert tg("sign", tmp_path / "no package").returncode == 1
    assert tg().returncode == 2
    assert tg("sign", "x", "--expires", "soon").returncode == 2


def test_a_reference_tells_where_it_is_from() -> None:
    assert Reference("os", "system", "python").is_marked
    assert not Reference("datetime", "date", "plain").is_marked
