"""Keys: files of ssh, which nobody else may read; and what ssh itself says of them."""

from __future__ import annotations

import os
import pickle
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.runtime.errors import TrustProblem
from tg.common.delivery.trust import PublicKey, SigningKey
from tg.common.delivery.trust.envelope import Envelope

needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


def ssh_key(file: Path, *options: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-f", file, "-C", "me@here", *options], check=True)
    return file


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_a_new_key_is_its_owners_alone_whatever_the_mask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        key = SigningKey.new(tmp_path / "keys/mine", comment="me")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys/mine").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert PublicKey.load(tmp_path / "keys/mine.pub") == key.public == SigningKey.load(tmp_path / "keys/mine").public


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    SigningKey.new(tmp_path / "mine")
    before = (tmp_path / "mine").read_bytes()
    with pytest.raises(TrustProblem, match=r"mine is there already\. Name another file"):
        SigningKey.new(tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    SigningKey.new(tmp_path / "mine")
    os.chmod(tmp_path / "mine", mode)
    with pytest.raises(TrustProblem, match=rf"can be read by others \(mode {mode:04o}\).*chmod 600 .*mine"):
        SigningKey.load(tmp_path / "mine")


@needs_ssh
def test_a_key_of_ssh_serves_and_ssh_reads_ours(tmp_path: Path) -> None:
    theirs = SigningKey.load(ssh_key(tmp_path / "theirs", "-t", "ed25519", "-N", ""))
    assert theirs.public == PublicKey.load(tmp_path / "theirs.pub")
    assert theirs.public.comment == "me@here"
    ours = SigningKey.new(tmp_path / "ours", comment="ours")
    derived = subprocess.run(["ssh-keygen", "-y", "-f", tmp_path / "ours"], capture_output=True, text=True, check=True)
    assert PublicKey.parse(derived.stdout).raw == ours.public.raw
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "ours.pub"], capture_output=True, text=True, check=True
    )
    assert ours.public.key_id in shown.stdout


@needs_ssh
def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    ssh_key(tmp_path / "other", "-t", "ecdsa", "-N", "")
    with pytest.raises(TrustProblem, match="is a key of another kind than Ed25519"):
        SigningKey.load(tmp_path / "other")
    with pytest.raises(TrustProblem, match="is no public key of the kind that is used here"):
        PublicKey.load(tmp_path / "other.pub")


@needs_ssh
def test_a_passphrase_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("bcrypt", reason="what ssh keys with passphrases need besides cryptography")
    ssh_key(tmp_path / "closed", "-t", "ed25519", "-N", "open sesame", "-a", "1")
    with pytest.raises(TrustProblem, match="has a passphrase"):
        SigningKey.load(tmp_path / "closed")
    with pytest.raises(TrustProblem, match="or has another passphrase"):
        SigningKey.load(tmp_path / "closed", passphrase=lambda: "wrong")
    opened = SigningKey.load(tmp_path / "closed", passphrase=lambda: "open sesame")
    assert opened.public == PublicKey.load(tmp_path / "closed.pub")


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", bytes(1000)])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no key").write_bytes(content)
    os.chmod(tmp_path / "no key", 0o600)
    with pytest.raises(TrustProblem, match="is no private key"):
        SigningKey.load(tmp_path / "no key")


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrustProblem, match=r"cannot be read: No such file or directory\. `tg keys new` makes one"):
        SigningKey.load(tmp_path / "nothing")


def test_a_key_is_neither_shown_nor_pickled(tmp_path: Path) -> None:
    key = SigningKey.new(tmp_path / "mine")
    assert repr(key) == f"<SigningKey {key.public.key_id}>"
    with pytest.raises(TypeError, match="a SigningKey is not pickled"):
        pickle.dumps(key)


@given(st.binary(min_size=32, max_size=32), st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]), max_size=20))
def test_a_public_key_is_read_as_it_was_written(raw: bytes, comment: str) -> None:
    key = PublicKey(raw, comment)
    assert PublicKey.parse(str(key)) == key


@given(st.text(max_size=50), st.binary(max_size=200))
def test_an_envelope_is_read_as_it_was_written(kind: str, payload: bytes) -> None:
    envelope = Envelope(kind, payload, (("SHA256:abc", b"signature"),))
    assert Envelope.parse(envelope.to_json()) == envelope


def test_a_signature_is_of_its_message_and_its_kind(tmp_path: Path) -> None:
    """The encoding is the one that the DSSE protocol gives as its example."""
    from tg.common.delivery.trust.envelope import _encoded

    assert _encoded("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    key, other = SigningKey.new(tmp_path / "mine"), SigningKey.new(tmp_path / "other")
    envelope = Envelope.sealed("kind", b"message", key)
    assert envelope.is_signed_by(key.public)
    assert not envelope.is_signed_by(other.public)
    assert not Envelope("kind", b"massage", envelope.signatures).is_signed_by(key.public)
    assert not Envelope("kinds", b"message", envelope.signatures).is_signed_by(key.public)
    claimed = Envelope("kind", b"message", ((other.public.key_id, envelope.signatures[0][1]),))
    assert not claimed.is_signed_by(other.public)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"payload": 1, "payloadType": "", "signatures": []}', b"\xff"])
def test_what_is_no_envelope_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"envelope|JSON|utf-8|Expecting"):
        Envelope.parse(text)


def test_no_private_key_is_left_where_only_a_public_one_is(tmp_path: Path) -> None:
    (tmp_path / "mine.pub").touch()
    with pytest.raises(TrustProblem, match=r"mine\.pub is there already"):
        SigningKey.new(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
