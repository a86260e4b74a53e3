"""Access: bearer tokens (RFC 6750) and what each may do. The file has their digests only.

[{"name": "ci", "roles": ["deploy"], "sha256": "…"}]
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

import msgspec

from ..runtime.errors import TrustProblem
from ..runtime.whole_files import make_private_folder, write_whole
from .watched_files import WatchedFiles

__all__ = ["Access", "Role", "Token"]


class Role(IntEnum):
    """What a token may do; each may do what those before it may."""

    READ = 1
    """See what is live, its metrics, its log and its source."""
    INFER = 2
    """Have requests answered."""
    DEPLOY = 3
    """Change what is served."""


class Token(msgspec.Struct, frozen=True):
    """One token, without its secret."""

    name: str
    roles: tuple[str, ...]
    sha256: str

    @property
    def role(self) -> Role:
        """The most that it may do."""
        return max(Role[name.upper()] for name in self.roles)


class Access:
    """Who may do what. Requests are free for all unless a token with the role `infer` exists; all else needs a token."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._file: Path | None = None
        self._watched = WatchedFiles()
        self._take(tokens)

    @classmethod
    def of_file(cls, file: Path) -> Access:
        """The tokens of a file; none where there is no such file. Raises `TrustProblem` for one that cannot be read."""
        watched = WatchedFiles(file)
        access = cls(_tokens_of(file))
        access._file, access._watched = file, watched
        return access

    def refresh(self) -> None:
        """Read the file again if it has changed. Raises as `of_file`, once for each change, and goes on with what it has then."""
        if self._file is not None and self._watched.have_changed():
            self._take(_tokens_of(self._file, must_exist=True))

    def _take(self, tokens: Iterable[Token]) -> None:
        self._tokens = tuple(tokens)
        self.is_open_for_requests = not any("infer" in map(str.lower, token.roles) for token in self._tokens)

    def who(self, authorization: str, role: Role) -> str | None:
        """The name of the token in an `Authorization` header, if it may do that; `None` otherwise."""
        if role is Role.INFER and self.is_open_for_requests:
            return "anybody"
        token = self._token_of(authorization)
        return token.name if token is not None and token.role >= role else None

    def refusal(self, authorization: str, role: Role) -> tuple[str, int]:
        """What somebody is told who may not do that, and the status of HTTP."""
        token = self._token_of(authorization)
        wanted = f"a token with the role {role.name.lower()} is needed"
        if token is None:
            return f"{wanted} (Authorization: Bearer …)", 401
        return f"{wanted}, and {token.name} has {', '.join(token.roles)}", 403

    def _token_of(self, authorization: str) -> Token | None:
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            return None
        digest = _digest(secret.strip())
        return next((token for token in self._tokens if hmac.compare_digest(token.sha256, digest)), None)

    @staticmethod
    def new_token(file: Path, name: str, role: Role) -> str:
        """Make a token, add its digest to a file, and return it: it cannot be shown again."""
        secret = secrets.token_hex(32)  # one of base64 can begin with a dash, as an option of a command does
        token = Token(name, (role.name.lower(),), _digest(secret))
        others = [one for one in _tokens_of(file) if one.name != name]
        make_private_folder(file.parent)
        text = msgspec.json.format(msgspec.json.encode([*others, token]), indent=1)
        write_whole(file, lambda opened: opened.write(text))
        return secret


def _tokens_of(file: Path, *, must_exist: bool = False) -> list[Token]:
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        if must_exist:
            raise TrustProblem(f"{file} is gone. Those who had tokens have them still; `tg token` writes it.") from None
        return []
    if os.stat(file).st_mode & 0o022:
        raise TrustProblem(
            f"{file} can be written by others than its owner (chmod 600 {file}), so its tokens are not accepted."
        )
    try:
        tokens = msgspec.json.decode(text, type=list[Token])
        for token in tokens:
            _ = token.role
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise TrustProblem(f"{file} has no tokens that can be read: {error}. `tg token` writes them.") from error
    return tokens


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
