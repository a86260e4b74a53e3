"""Keys: Ed25519 (RFC 8032), in the files that ssh has them in, so a key that is there already can serve.

A private key file must be nobody else's to read, as ssh wants it; a public one is a line that can be shown to anybody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.errors import TrustProblem
from ..runtime.whole_files import make_private_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["PublicKey", "SigningKey"]

_KIND = "ssh-ed25519"
_KEY_BYTES = 32
_FILE_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True)
class PublicKey:
    """A public key: its 32 bytes, and what its owner calls it. `str()` gives the line that ssh has in a `.pub` file."""

    raw: bytes
    comment: str = ""

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read a line `ssh-ed25519 AAAA… comment` (RFC 8709, RFC 4253 section 6.6). Raises `TrustProblem`."""
        kind, _, rest = text.strip().partition(" ")
        encoded, _, comment = rest.strip().partition(" ")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            blob = b""
        if kind != _KIND or blob[:-_KEY_BYTES] != _BLOB_START or len(blob) != len(_BLOB_START) + _KEY_BYTES:
            shown = text if len(text) < 80 else f"{text[:77]}..."
            raise TrustProblem(
                f"{shown!r} is no public key of the kind that is used here. It is a line 'ssh-ed25519 AAAA... comment', as "
                f"`tg keys new` and `ssh-keygen -t ed25519` write it into the .pub file."
            )
        return cls(blob[-_KEY_BYTES:], comment.strip())

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> PublicKey:
        """Read a `.pub` file. Raises `TrustProblem`."""
        path = Path(file).expanduser()
        try:
            return cls.parse(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise TrustProblem(
                f"the public key {path} cannot be read: {error}. `tg keys new` writes one beside the private key."
            ) from error

    def __str__(self) -> str:
        line = f"{_KIND} {base64.b64encode(self._blob).decode()}"
        return f"{line} {self.comment}" if self.comment else line

    @property
    def key_id(self) -> str:
        """Its fingerprint as `ssh-keygen -l` shows it: `SHA256:` and 43 characters."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self._blob).digest()).decode().rstrip("=")

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether the owner of the key has signed the message."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    @property
    def _blob(self) -> bytes:
        return _BLOB_START + self.raw


def _is_there(file: str | Path) -> TrustProblem:
    return TrustProblem(f"{file} is there already. Name another file, or remove that one.")


_BLOB_START = struct.pack(">I", len(_KIND)) + _KIND.encode() + struct.pack(">I", _KEY_BYTES)


class SigningKey:
    """A private key, to sign with. It is never shown and never pickled."""

    __slots__ = ("_private", "public")

    def __init__(self, private: Ed25519PrivateKey, comment: str = "") -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._private = private
        self.public = PublicKey(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), comment)

    @classmethod
    def new(cls, file: str | os.PathLike[str], *, comment: str = "") -> SigningKey:
        """Make a key and write it to `file`, which only its owner can read, and its public half to `file.pub`.

        Raises `TrustProblem` when one of them is there, since a key is never written over, or cannot be written.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        path = Path(file).expanduser().absolute()
        public_path = path.with_name(f"{path.name}.pub")
        for place in (path, public_path):
            if os.path.lexists(place):
                raise _is_there(place)
        key = cls(Ed25519PrivateKey.generate(), comment)
        content = key._private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        try:
            make_private_folder(path.parent)
            for place, data, mode in ((path, content, 0o600), (public_path, f"{key.public}\n".encode(), 0o644)):
                descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
                with open(descriptor, "wb") as opened:
                    os.fchmod(descriptor, mode)
                    opened.write(data)
        except FileExistsError as error:
            raise _is_there(error.filename) from error
        except OSError as error:
            raise TrustProblem(f"no key can be written to {path}: {error.strerror}.") from error
        return key

    @classmethod
    def load(cls, file: str | os.PathLike[str], *, passphrase: Callable[[], str] | None = None) -> SigningKey:
        """Read a private key of OpenSSH, or one in PEM (PKCS #8). `passphrase` is asked if it has one.

        Raises `TrustProblem` for a file that others can read, and for a key of another kind.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

        path = Path(file).expanduser().absolute()
        content = _read_private(path)
        read = load_ssh_private_key if b"BEGIN OPENSSH" in content else load_pem_private_key

        def key(secret: bytes | None) -> SigningKey:
            private = read(content, secret)
            if not isinstance(private, Ed25519PrivateKey):
                raise TrustProblem(f"{path} is a key of another kind than Ed25519. `tg keys new` makes one.")
            return cls(private, _comment(path))

        try:
            try:
                return key(None)
            except TypeError:  # it has a passphrase
                if passphrase is None:
                    raise TrustProblem(
                        f"{path} has a passphrase. Give it: SigningKey.load(file, passphrase=...)."
                    ) from None
                return key(passphrase().encode())
        except UnsupportedAlgorithm as error:
            raise TrustProblem(
                f"{path} cannot be read: {error}. For a passphrase of ssh: pip install bcrypt."
            ) from error
        except (ValueError, TypeError) as error:
            raise TrustProblem(
                f"{path} is no private key, or has another passphrase. `tg keys new` makes one."
            ) from error

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"<SigningKey {self.public.key_id}>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a SigningKey is not pickled: whoever got the file would have it.")


def _read_private(path: Path) -> bytes:
    """The bytes of a file that nobody else can read: it is looked at and read as one open file."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid not in (os.geteuid(), 0):
                raise TrustProblem(
                    f"the private key {path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}), so it may be theirs "
                    f"as well. If it is still yours alone: chmod 600 {path}"
                )
            return file.read(_FILE_LIMIT_BYTES)
    except OSError as error:
        raise TrustProblem(
            f"the private key {path} cannot be read: {error.strerror}. `tg keys new` makes one."
        ) from error


def _comment(path: Path) -> str:
    """What the public half beside it says: the private one has its comment in a part that nothing here reads."""
    try:
        return PublicKey.load(path.with_name(f"{path.name}.pub")).comment
    except TrustProblem:
        return ""
