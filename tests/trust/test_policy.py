"""Policies: what is trusted is installed, run and loaded; for all else a canary stays untouched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from projects import Project

from tg.common.delivery.delivery import get_loader_from_installed_package, install_package_and_get_loader
from tg.common.delivery.delivery.archive import write_archive
from tg.common.delivery.delivery.signing import sign_package
from tg.common.delivery.delivery.store import Store
from tg.common.delivery.delivery.wheel import ENVELOPE_FILE, Member, WheelReader, write_wheel
from tg.common.delivery.runtime.errors import PackageRejected, TrustProblem, UntrustedPackage
from tg.common.delivery.trust import Manifest, Policy, SigningKey
from tg.common.delivery.trust.envelope import Envelope

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.new(tmp_path / "keys/me", comment="me")


@pytest.fixture
def other_key(tmp_path: Path) -> SigningKey:
    return SigningKey.new(tmp_path / "keys/other", comment="somebody else")


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """What a package of `made` touches when anything of it is imported, unpickled or run."""
    return tmp_path / "canary"


@pytest.fixture
def made(project: Project, canary: Path) -> Callable[..., Path]:
    """A package made elsewhere, whose every module and whose job touch the canary."""

    def made(name: str = "my_job", version: str = "1.0.0", answer: str = "one") -> Path:
        touch = f"import os\nif 'my' not in os.environ: open({str(canary)!r}, 'w').close()\n"
        project.write("tg/my/__init__.py", touch)
        project.write(
            "tg/my/job.py",
            f"{touch}class Job:\n    def run(self):\n        return {answer!r}\n"
            f"    def __setstate__(self, state):\n        {touch.splitlines()[1].split(': ', 1)[1]}\n",
        )
        return project.deliver(name, version, my="here")

    return made


@pytest.fixture(autouse=True)
def _another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    """Packages are made with one home and land in another, as if they had been sent."""
    monkeypatch.setenv("TG_HOME", str(tmp_path / "where it lands"))


def refused(file: Path, canary: Path, policy: Policy | None, match: str) -> UntrustedPackage:
    with pytest.raises(UntrustedPackage, match=match) as caught:
        install_package_and_get_loader(file, silent=True, policy=policy)
    assert not canary.exists()
    assert Store().packages() == []
    assert caught.value.path == file
    return caught.value


def answer_of(file: Path, policy: Policy | None = None) -> str:
    entry_point = install_package_and_get_loader(file, silent=True, policy=policy)
    try:
        return str(entry_point.load_resource("job").run())
    finally:
        entry_point.unload()


def test_what_was_made_elsewhere_is_refused_unless_somebody_says_otherwise(
    made: Callable[..., Path], canary: Path
) -> None:
    file = made()
    error = refused(file, canary, None, "is not trusted: it was not made here by this user")
    assert "TG_POLICY or policy=, with Policy.signed_by, Policy.exactly or Policy.any" in str(error)
    assert answer_of(file, Policy.any()) == "one"
    assert canary.exists()  # so it would have told


def test_what_this_user_has_made_here_is_trusted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TG_HOME", str(project.home))
    assert answer_of(project.deliver()) == "one"


def test_a_note_of_an_own_build_that_others_could_have_made_is_none(
    project: Project, monkeypatch: pytest.MonkeyPatch, canary: Path
) -> None:
    monkeypatch.setenv("TG_HOME", str(project.home))
    file = project.deliver()
    os.chmod(project.home / "trust/built", 0o770)
    refused(file, canary, None, "it was not made here by this user")


def test_what_a_trusted_signer_has_signed_is_installed(made: Callable[..., Path], key: SigningKey) -> None:
    file = made()
    manifest = sign_package(file, key)
    assert answer_of(file, Policy.signed_by({"my_job": [key.public]})) == "one"
    assert (manifest.name, manifest.version, manifest.signer) == ("my_job", "1.0.0", str(key.public))


def test_a_signed_package_is_one_for_pip_as_well(made: Callable[..., Path], key: SigningKey, tmp_path: Path) -> None:
    file = made()
    sign_package(file, key)
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, file]
    subprocess.run(command, check=True)
    assert (target / "my_job-1.0.0.dist-info" / ENVELOPE_FILE).exists()


def test_what_pip_has_installed_is_judged_by_its_files(
    made: Callable[..., Path], key: SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: Path
) -> None:
    file = made()
    sign_package(file, key)
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, file]
    subprocess.run(command, check=True)
    monkeypatch.syspath_prepend(str(target))
    policy = Policy.signed_by({"my_job": [key.public]})
    entry_point = get_loader_from_installed_package("my_job", policy=policy)
    assert entry_point.resources_location.parent == target / "my_job__1_0_0"
    (target / "my_job__1_0_0/tg/my/extra.py").write_text("import os\n")
    with pytest.raises(PackageRejected, match=r"extra\.py is none of its files"):
        get_loader_from_installed_package("my_job", policy=policy)
    (target / "my_job__1_0_0/tg/my/extra.py").unlink()
    (target / "my_job__1_0_0/tg/my/job.py").write_text("import os\n")
    with pytest.raises(PackageRejected, match=r"job\.py is not what RECORD says"):
        get_loader_from_installed_package("my_job", policy=policy)
    assert not canary.exists()


def test_what_pip_has_installed_is_found_while_another_content_of_that_name_is_loaded(
    made: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made()
    from_store = install_package_and_get_loader(file, silent=True, policy=Policy.any())
    assert from_store.load_resource("job").run() == "one"
    Store().remove(Store().packages()[0])  # and it stays loaded
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, file]
    subprocess.run(command, check=True)
    monkeypatch.syspath_prepend(str(target))
    from_pip = get_loader_from_installed_package("my_job", policy=Policy.any())
    try:
        assert from_pip.resources_location.parent == target / "my_job__1_0_0"
        assert from_pip.load_resource("job").run() == "one"
    finally:
        from_pip.unload()
        from_store.unload()


def test_the_same_signing_twice_gives_growing_numbers(made: Callable[..., Path], key: SigningKey) -> None:
    file = made()
    numbers = [sign_package(file, key).sequence for _ in range(3)]
    assert numbers == sorted(set(numbers))
    assert answer_of(file, Policy.signed_by({"my_job": [key.public]})) == "one"


def test_numbers_grow_when_the_clock_goes_back(
    made: Callable[..., Path], key: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made()
    first = sign_package(file, key).sequence
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    assert sign_package(file, key).sequence == first + 1


def test_an_unknown_signer_is_refused(
    made: Callable[..., Path], key: SigningKey, other_key: SigningKey, canary: Path
) -> None:
    file = made()
    sign_package(file, other_key)
    refused(
        file,
        canary,
        Policy.signed_by({"my_job": [key.public]}),
        rf"it is signed by {other_key.public.key_id.replace('+', '.')}, who is none of those that may sign packages named my_job",
    )


def test_who_may_sign_one_name_may_not_sign_another(
    made: Callable[..., Path], key: SigningKey, other_key: SigningKey, canary: Path
) -> None:
    policy = Policy.signed_by({"my_job": [key.public], "other_job": [other_key.public]})
    file = made("other_job")
    sign_package(file, key)
    refused(file, canary, policy, "who is none of those that may sign packages named other_job")


def test_an_unsigned_package_is_refused_where_a_signature_is_asked_for(
    made: Callable[..., Path], key: SigningKey, canary: Path
) -> None:
    refused(made(), canary, Policy.signed_by({"my_job": [key.public]}), "is not trusted: it is not signed")


def resigned(file: Path, key: SigningKey, change: Callable[[Manifest], Manifest], kind: str | None = None) -> None:
    """Put a manifest that was changed, and signed again, into a package."""
    with WheelReader(file) as wheel:
        path = f"{wheel.facts.dist_info}/{ENVELOPE_FILE}"
        envelope = Envelope.parse(bytes(wheel.data(path)))
        manifest = change(Manifest.parse(envelope.payload))
        envelope = Envelope.sealed(kind or envelope.kind, manifest.payload(), key)
        rewritten(file, {path: envelope.to_json()})


def rewritten(file: Path, replaced: dict[str, bytes], added: dict[str, bytes] | None = None) -> None:
    """A sound package with other files: RECORD and seal fit, as whoever forges one would do it."""
    with WheelReader(file) as wheel:
        dist_info = wheel.facts.dist_info
        data = {path: bytes(wheel.data(path)) for path in wheel.members if not path.endswith("/RECORD")}
        executable = {path for path, entry in wheel.members.items() if entry.executable}
    data |= {**replaced, **(added or {})}
    members = [
        Member(path, content, Member.of(path, content).digests, path in executable)
        for path, content in data.items()
        if not path.startswith(dist_info)
    ]
    metadata = {path.partition("/")[2]: content for path, content in data.items() if path.startswith(dist_info)}
    write_wheel(file, members, dist_info, metadata)


def test_files_that_are_not_those_that_were_signed_are_refused(
    made: Callable[..., Path], key: SigningKey, canary: Path
) -> None:
    policy = Policy.signed_by({"my_job": [key.public]})
    for replaced, added, member in (
        ({"my_job__1_0_0/tg/my/job.py": b"class Job: pass\n"}, {}, "my_job__1_0_0/tg/my/job.py"),
        ({}, {"my_job__1_0_0/tg/extra.py": b""}, "my_job__1_0_0/tg/extra.py"),
        ({"my_job__1_0_0/resources/job": b"\x80\x05N."}, {}, "my_job__1_0_0/resources/job"),
        ({"my_job-1.0.0.dist-info/METADATA": b"Name: my_job\n"}, {}, "my_job-1.0.0.dist-info/METADATA"),
    ):
        file = made()
        sign_package(file, key)
        rewritten(file, replaced, added)
        error = refused(file, canary, policy, "is not what SHA256:.* has signed")
        assert error.member == member


def test_a_record_that_lies_for_the_signature_is_found_out(
    made: Callable[..., Path], key: SigningKey, canary: Path
) -> None:
    """RECORD has the signed hashes, the seal fits, and the file is another: its bytes are hashed, not believed."""
    file = made()
    sign_package(file, key)
    with WheelReader(file) as wheel:
        members = [(path, bytes(wheel.data(path)), entry.executable) for path, entry in wheel.members.items()]
    forged = [
        (path, b"raise SystemExit\n" if path.endswith("my/job.py") else data, executable)
        for path, data, executable in members
    ]
    with file.open("wb") as opened:
        write_archive(opened, [(p, d, Member.of(p, d).digests.crc, x) for p, d, x in forged])
    with pytest.raises(PackageRejected, match=r"my/job\.py is not what RECORD says"):
        install_package_and_get_loader(file, silent=True, policy=Policy.signed_by({"my_job": [key.public]}))
    assert not canary.exists()
    assert Store().packages() == []


def test_the_signature_of_another_package_is_refused(
    made: Callable[..., Path], key: SigningKey, canary: Path, tmp_path: Path
) -> None:
    first = made(version="1.0.0")
    sign_package(first, key)
    with WheelReader(first) as wheel:
        envelope = bytes(wheel.data(f"{wheel.facts.dist_info}/{ENVELOPE_FILE}"))
    second = made(version="2.0.0", answer="two")
    rewritten(second, {}, {f"my_job-2.0.0.dist-info/{ENVELOPE_FILE}": envelope})
    refused(second, canary, Policy.signed_by({"my_job": [key.public]}), "its signature is that of my_job 1.0.0")


def test_a_signature_that_was_altered_is_refused(made: Callable[..., Path], key: SigningKey, canary: Path) -> None:
    file = made()
    sign_package(file, key)
    with WheelReader(file) as wheel:
        path = f"{wheel.facts.dist_info}/{ENVELOPE_FILE}"
        content = json.loads(bytes(wheel.data(path)))
    policy = Policy.signed_by({"my_job": [key.public]})
    altered = content["signatures"][0]["sig"]
    content["signatures"][0]["sig"] = ("B" if altered[0] != "B" else "C") + altered[1:]
    rewritten(file, {path: json.dumps(content).encode()})
    refused(file, canary, policy, "its signature by SHA256:.* does not fit what it signs")
    rewritten(file, {path: b"{}"})
    refused(file, canary, policy, "its signature cannot be read: it is no DSSE envelope")


def test_something_else_that_the_signer_has_signed_is_refused(
    made: Callable[..., Path], key: SigningKey, canary: Path
) -> None:
    file = made()
    sign_package(file, key)
    resigned(file, key, lambda manifest: manifest, kind="text/plain")
    refused(file, canary, Policy.signed_by({"my_job": [key.public]}), "has signed is a 'text/plain' and no manifest")


def test_an_older_package_than_the_newest_is_refused_also_after_a_restart(
    made: Callable[..., Path], key: SigningKey, canary: Path, tmp_path: Path
) -> None:
    policy = Policy.signed_by({"my_job": [key.public]})
    old = made(version="1.0.0").rename(tmp_path / "old.whl")
    sign_package(old, key)
    new = made(version="2.0.0", answer="two")
    sign_package(new, key)
    answers = f"""
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.trust import Policy
policy = Policy.signed_by({{"my_job": [{str(key.public)!r}]}})
install_package_and_get_loader({str(new)!r}, silent=True, policy=policy)
"""
    subprocess.run([sys.executable, "-c", answers], check=True, cwd=Path(__file__).parents[2])
    with pytest.raises(
        UntrustedPackage, match=r"and one with [0-9]+ was accepted here before\. .*policy\.rolling_back\(\)"
    ):
        install_package_and_get_loader(old, silent=True, policy=policy)
    assert [package.version for package in Store().packages()] == ["2.0.0"]
    assert not canary.exists()
    assert answer_of(old, policy.rolling_back()) == "one"
    assert answer_of(old, policy) == "one"  # it is the newest now
    assert answer_of(new, policy) == "two"


def test_two_packages_with_one_number_are_not_both_accepted(
    made: Callable[..., Path], key: SigningKey, tmp_path: Path
) -> None:
    policy = Policy.signed_by({"my_job": [key.public]})
    first = made(version="1.0.0").rename(tmp_path / "first.whl")
    second = made(version="2.0.0")
    for file in (first, second):
        sign_package(file, key, sequence=7)
    install_package_and_get_loader(first, silent=True, policy=policy)
    install_package_and_get_loader(first, silent=True, policy=policy)
    with pytest.raises(UntrustedPackage, match="another package with that number was accepted here before"):
        install_package_and_get_loader(second, silent=True, policy=policy)


def test_what_was_accepted_cannot_be_forgotten_silently(made: Callable[..., Path], key: SigningKey) -> None:
    policy = Policy.signed_by({"my_job": [key.public]})
    file = made()
    sign_package(file, key)
    install_package_and_get_loader(file, silent=True, policy=policy)
    for nonsense in (b"nonsense", b"\xff\xfe"):
        (Path(os.environ["TG_HOME"]) / "trust/highest/my_job").write_bytes(nonsense)
        with pytest.raises(TrustProblem, match="was altered: it has no number"):
            install_package_and_get_loader(file, silent=True, policy=policy)


def test_an_expired_package_is_refused(
    made: Callable[..., Path], key: SigningKey, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy.signed_by({"my_job": [key.public]})
    file = made()
    sign_package(file, key, expires=timedelta(hours=1))
    later = time.time() + 3601
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: later)
        refused(file, canary, policy, r"it has expired on 20..-..-.. ..:.. UTC, and here it is 20")
    assert answer_of(file, policy) == "one"


@pytest.mark.parametrize(
    ("expires", "match"),
    [
        (datetime(2000, 1, 1, tzinfo=timezone.utc), "is over already"),
        (datetime(2100, 1, 1), "does not say in which time zone"),
        (timedelta(seconds=-1), "is over already"),
    ],
)
def test_an_expiry_that_makes_no_sense_is_refused(
    made: Callable[..., Path], key: SigningKey, expires: datetime | timedelta, match: str
) -> None:
    file = made()
    before = file.read_bytes()
    with pytest.raises(TrustProblem, match=match):
        sign_package(file, key, expires=expires)
    assert file.read_bytes() == before


def test_revoked_keys_and_digests_are_refused_whatever_else_is_trusted(
    made: Callable[..., Path], key: SigningKey, canary: Path
) -> None:
    file = made()
    sign_package(file, key)
    with WheelReader(file) as wheel:
        digest = f"sha256:{wheel.check_seal()}"
    signers = {"my_job": [key.public]}
    for policy in (
        Policy(signers=signers, anything=True, revoked=[key.public.key_id]),
        Policy(signers=signers, digests=[digest], anything=True, revoked=[digest]),
    ):
        refused(file, canary, policy, "is revoked")


def test_exactly_these_digests(made: Callable[..., Path], canary: Path, tmp_path: Path) -> None:
    file, other = made(version="1.0.0").rename(tmp_path / "first.whl"), made(version="2.0.0", answer="two")
    with WheelReader(file) as wheel:
        policy = Policy.exactly(f"sha256:{wheel.check_seal()}")
    refused(other, canary, policy, "its digest is none of those that are trusted")
    assert answer_of(file, policy) == "one"


def test_an_installed_package_is_judged_again_where_there_is_a_policy(
    made: Callable[..., Path], key: SigningKey, canary: Path
) -> None:
    policy = Policy.signed_by({"my_job": [key.public]})
    file = made()
    sign_package(file, key)
    folder = install_package_and_get_loader(file, silent=True, policy=policy).resources_location.parent
    get_loader_from_installed_package("my_job", policy=policy)
    get_loader_from_installed_package("my_job")  # nothing is configured: what the store has was trusted
    revoking = Policy(signers={"my_job": [key.public]}, revoked=[key.public.key_id])
    with pytest.raises(UntrustedPackage, match="is revoked"):
        get_loader_from_installed_package("my_job", policy=revoking)
    job = folder / "tg/my/job.py"
    os.chmod(job, 0o644)
    job.write_bytes(job.read_bytes().replace(b"one", b"two"))
    with pytest.raises(PackageRejected, match="is not what was installed"):
        get_loader_from_installed_package("my_job", policy=policy)
    assert not canary.exists()


# --- For a machine -----------------------------------------------------------------------------------------------------


def policy_file(path: Path, content: object, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content) if not isinstance(content, str) else content)
    os.chmod(path, mode)
    return path


def test_a_file_or_a_variable_sets_it_for_a_machine(
    made: Callable[..., Path], key: SigningKey, canary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = made()
    sign_package(file, key)
    policy_file(Path(os.environ["TG_HOME"]) / "trust/policy.json", {"signers": {"my_job": [str(key.public)]}})
    assert answer_of(file) == "one"
    canary.unlink()
    Store().remove(Store().packages()[0])
    monkeypatch.setenv("TG_POLICY", str(policy_file(tmp_path / "strict.json", {})))
    refused(file, canary, None, "is not trusted: nothing is trusted")
    monkeypatch.setenv("TG_POLICY", "own")
    refused(file, canary, None, "it was not made here by this user")
    monkeypatch.setenv("TG_POLICY", "any")
    assert answer_of(file) == "one"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_policy_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(TrustProblem, match="can be written by others"):
        Policy.of_file(policy_file(tmp_path / "policy.json", {"anything": True}, mode))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        {"signer": {}},
        {"anything": "yes"},
        {"digests": "sha256:" + "0" * 64},
        {"signers": {"my_job": "ssh-ed25519 AAAA"}},
        {"signers": ["ssh-ed25519 AAAA"]},
        {"signers": {"my_job": ["ssh-ed25519 AAAA"]}},
        {"digests": ["abc"]},
    ],
)
def test_a_policy_that_cannot_be_right_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(TrustProblem, match=r"is none: .* It is JSON, with some of anything, digests"):
        Policy.of_file(policy_file(tmp_path / "policy.json", content))


@pytest.mark.parametrize(("field", "value"), [("digests", "abc"), ("revoked", "SHA256:short"), ("digests", "0" * 64)])
def test_a_digest_that_is_none_is_refused(field: str, value: str) -> None:
    with pytest.raises(TrustProblem, match="is no digest"):
        Policy(**{field: [value]})


def test_a_policy_that_is_not_there_trusts_nothing(monkeypatch: pytest.MonkeyPatch, made: Callable[..., Path]) -> None:
    monkeypatch.setenv("TG_POLICY", "/nowhere/policy.json")
    with pytest.raises(
        TrustProblem, match=r"cannot be read: No such file or directory\. Nothing is trusted without it"
    ):
        install_package_and_get_loader(made(), silent=True)


def test_a_manifest_is_read_in_its_canonical_form_alone(made: Callable[..., Path], key: SigningKey) -> None:
    manifest = sign_package(made(), key)
    assert Manifest.parse(manifest.payload()) == manifest
    assert (
        manifest.payload() == json.dumps(json.loads(manifest.payload()), sort_keys=True, separators=(",", ":")).encode()
    )
    for altered in (manifest.payload() + b" ", manifest.payload().replace(b'"0644"', b'"0640"'), b"{}", b"[]", b""):
        with pytest.raises(ValueError):  # noqa: PT011 each says it in its own words
            Manifest.parse(altered)
