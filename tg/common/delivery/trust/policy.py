"""Policy: which packages may be installed, run and loaded. One value for all of it, and nothing in a package changes it.

A package is accepted when one of these holds, and its digest and its signer are not revoked:

1. `signers` of its name have signed it, it has not expired, and it is not older than one that was accepted before;
2. its digest is one of `digests`;
3. `own_builds`, and this user has made it on this machine;
4. `anything`.

Where nobody says more, 3 holds and nothing else.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...locations import Loc
from ..runtime.errors import TrustProblem, UntrustedPackage
from .envelope import Envelope
from .keys import PublicKey
from .manifest import KIND, FileEntry, Manifest
from .own_builds import is_own_build
from .sequences import note_sequence

__all__ = ["POLICY_VARIABLE", "Claim", "Policy"]

POLICY_VARIABLE = "TG_POLICY"
"""`any`, `own`, or the path of a policy file: for all programs that are started with it."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KEY_ID = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_FIELDS = ("anything", "digests", "own_builds", "revoked", "signers")


@dataclass(frozen=True)
class Claim:
    """What a package file says of itself, every byte of it proved to belong to its digest.

    `digest` is its seal, `sha256:…`; `files` has all but RECORD and the envelope; `envelope` is `None` when it is not signed.
    """

    path: Path
    name: str
    version: str
    module_name: str
    digest: str
    files: Mapping[str, FileEntry]
    envelope: bytes | None


@dataclass(frozen=True)
class Policy:
    """Which packages are trusted; see the module for what holds.

    - `signers`: for the name of a package, the public keys of those who may sign it.
    - `digests`: of packages that are accepted as they are, `sha256:…` as `inspect_package` shows it.
    - `own_builds`: what this user has made on this machine.
    - `anything`: whatever is in the form of a package. Loading one runs it.
    - `revoked`: digests of packages, and ids of keys (`SHA256:…`), that are refused in any case.
    - `going_back`: accept a package that is older than one that was accepted before; from then on it is the newest.
    """

    signers: Mapping[str, Sequence[PublicKey]] = field(default_factory=dict)
    digests: Iterable[str] = ()
    own_builds: bool = False
    anything: bool = False
    revoked: Iterable[str] = ()
    going_back: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.digests, str) or isinstance(self.revoked, str):
            raise TypeError("digests and revoked are lists of texts, not one text.")
        signers = {name: tuple(_key(one) for one in _listed(keys)) for name, keys in dict(self.signers).items()}
        object.__setattr__(self, "signers", signers)
        object.__setattr__(self, "digests", frozenset(self.digests))
        object.__setattr__(self, "revoked", frozenset(self.revoked))
        odd = [one for one in self.digests if not _DIGEST.fullmatch(one)]
        odd += [one for one in self.revoked if not _DIGEST.fullmatch(one) and not _KEY_ID.fullmatch(one)]
        if odd:
            raise TrustProblem(
                f"{odd[0]!r} is no digest (sha256: and 64 digits) and no id of a key (SHA256: and 43 characters). "
                f"inspect_package(file) and `tg keys show` give them."
            )

    @classmethod
    def signed_by(cls, signers: Mapping[str, Sequence[PublicKey | str]]) -> Policy:
        """What these have signed, by the name of the package, and nothing else."""
        return cls(signers=signers)  # type: ignore[arg-type]  # texts are read as keys

    @classmethod
    def exactly(cls, *digests: str) -> Policy:
        """These packages, and nothing else."""
        return cls(digests=digests)

    @classmethod
    def own(cls) -> Policy:
        """What this user has made on this machine."""
        return cls(own_builds=True)

    @classmethod
    def any(cls) -> Policy:
        """Whatever is in the form of a package."""
        return cls(anything=True)

    @classmethod
    def of_file(cls, file: str | os.PathLike[str]) -> Policy:
        """Read a policy file: JSON with some of the fields above. Raises `TrustProblem`.

        A file that others can write to is refused: what is trusted would be theirs to say.
        """
        path = Path(file).expanduser()
        try:
            with path.open("rb") as opened:
                found = os.fstat(opened.fileno())
                if stat.S_IMODE(found.st_mode) & 0o022 or found.st_uid not in (os.geteuid(), 0):
                    raise TrustProblem(
                        f"the policy {path} can be written by others, so it is not yours to rely on. chmod 600 {path}"
                    )
                content = opened.read()
        except OSError as error:
            raise TrustProblem(
                f"the policy {path} cannot be read: {error.strerror}. Nothing is trusted without it."
            ) from error
        try:
            return cls._of_json(json.loads(content))
        except (TrustProblem, ValueError, TypeError, AttributeError) as error:
            raise TrustProblem(
                f"the policy {path} is none: {str(error).rstrip('.')}. It is JSON, with some of {', '.join(_FIELDS)}."
            ) from error

    @classmethod
    def of_machine(cls) -> Policy:
        """The one that holds where a program gives none: see `configured`; `own()` where nothing says more."""
        return cls.configured() or cls.own()

    @classmethod
    def configured(cls) -> Policy | None:
        """What the variable `TG_POLICY` says, or the file `policy.json` in `Loc.trust`; `None` when there is neither."""
        named = os.environ.get(POLICY_VARIABLE)
        if named in ("any", "own"):
            return cls.any() if named == "any" else cls.own()
        if named:
            return cls.of_file(named)
        file = Loc.trust / "policy.json"
        return cls.of_file(file) if os.path.lexists(file) else None

    def rolling_back(self) -> Policy:
        """The same, but an older package than the newest is accepted, and is the newest from then on."""
        return replace(self, going_back=True)

    def check(self, claim: Claim, *, is_new: bool = True) -> str:
        """Why a package is accepted, in words. Raises `UntrustedPackage` when it is not.

        `is_new` for one that comes in; one that was accepted before can be older than the newest.
        """
        if claim.digest in self.revoked:
            raise _refused(claim, f"{claim.digest} is revoked")
        envelope = _envelope(claim)
        for key_id, _ in envelope.signatures if envelope is not None else ():
            if key_id in self.revoked:
                raise _refused(claim, f"the key {key_id} that it is signed with is revoked")
        if claim.digest in self.digests:
            return "its digest is one that is trusted"
        refusal: UntrustedPackage | None = None
        if self.signers and envelope is not None:
            try:
                return self._check_signature(claim, envelope, is_new=is_new)
            except UntrustedPackage as error:
                refusal = error
        if self.own_builds and is_own_build(claim.digest.partition(":")[2]):
            return "it was made here"
        if self.anything:
            return "anything is trusted"
        raise refusal or _refused(claim, self._why_not())

    def _check_signature(self, claim: Claim, envelope: Envelope, *, is_new: bool) -> str:
        keys = self.signers.get(claim.name, ())
        key = next((one for one in keys if envelope.is_signed_by(one)), None)
        if key is None:
            named = ", ".join(key_id for key_id, _ in envelope.signatures) or "nobody"
            known = any(one.key_id in named for one in keys)
            raise _refused(
                claim,
                f"its signature by {named} does not fit what it signs"
                if known
                else f"it is signed by {named}, who is none of those that may sign packages named {claim.name}",
            )
        try:
            manifest = Manifest.parse(envelope.payload)
        except ValueError as error:
            raise _refused(claim, f"what {key.key_id} has signed cannot be read: {error}") from error
        if envelope.kind != KIND:
            raise _refused(claim, f"what {key.key_id} has signed is a {envelope.kind!r} and no manifest of a package")
        if (manifest.name, manifest.version, manifest.module_name) != (claim.name, claim.version, claim.module_name):
            raise _refused(claim, f"its signature is that of {manifest.name} {manifest.version}")
        odd = sorted(
            path for path in {*manifest.files, *claim.files} if manifest.files.get(path) != claim.files.get(path)
        )
        if odd:
            raise _refused(claim, f"{odd[0]} is not what {key.key_id} has signed", member=odd[0])
        now = time.time()
        if manifest.expires is not None and manifest.expires <= now:
            raise _refused(claim, f"it has expired on {_day(manifest.expires)}, and here it is {_day(int(now))}")
        if is_new:
            older = note_sequence(claim.name, manifest.sequence, manifest.digest, back=self.going_back)
            if older is not None:
                raise _refused(claim, f"{older}. To go back on purpose: policy.rolling_back()")
        return f"it is signed by {key.comment or key.key_id}"

    def _why_not(self) -> str:
        ways = ["it is not signed"] if self.signers else []  # one that is signed has been refused before
        if self.digests:
            ways.append("its digest is none of those that are trusted")
        if self.own_builds:
            ways.append("it was not made here by this user")
        return " and ".join(ways or ["nothing is trusted"]) + (
            ". Loading a package runs it, so say whom to trust: TG_POLICY or policy=, with Policy.signed_by, Policy.exactly or "
            "Policy.any (docs/trust.md)"
        )

    @classmethod
    def _of_json(cls, found: Any) -> Policy:
        odd = sorted(found.keys() - set(_FIELDS))
        if odd:
            raise ValueError(f"it has a field {odd[0]!r}")
        for name in ("own_builds", "anything"):
            if not isinstance(found.get(name, False), bool):
                raise ValueError(f"{name} is neither true nor false")
        for name in ("digests", "revoked"):
            if not isinstance(found.get(name, []), list):
                raise ValueError(f"{name} is no list")
        return cls(
            signers={
                name: [PublicKey.parse(one) for one in _listed(keys)] for name, keys in found.get("signers", {}).items()
            },
            digests=found.get("digests", ()),
            own_builds=found.get("own_builds", False),
            anything=found.get("anything", False),
            revoked=found.get("revoked", ()),
        )


def _envelope(claim: Claim) -> Envelope | None:
    if claim.envelope is None:
        return None
    try:
        return Envelope.parse(claim.envelope)
    except ValueError as error:
        raise _refused(claim, f"its signature cannot be read: {error}") from error


def _key(key: PublicKey | str) -> PublicKey:
    return PublicKey.parse(key) if isinstance(key, str) else key


def _listed(keys: Any) -> list[Any]:
    if isinstance(keys, (str, PublicKey)):
        raise TypeError("signers have a list of keys for each name")
    return list(keys)


def _refused(claim: Claim, why: str, *, member: str | None = None) -> UntrustedPackage:
    return UntrustedPackage(f"{claim.path} is not trusted: {why}.", path=claim.path, member=member)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
