"""Signing: a package file becomes one that says who stands for it. Its files stay as they are; one is added."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from datetime import datetime, timedelta, timezone
from os import PathLike
from pathlib import Path

from ..runtime.errors import TrustProblem
from ..trust.keys import SigningKey
from ..trust.manifest import Manifest
from ..trust.own_builds import is_own_build, note_own_build
from ..trust.sequences import next_sequence
from .claims import file_entries
from .digests import Digests
from .storage import storing
from .wheel import ENVELOPE_FILE, RECORD_FILE, Member, WheelReader, write_wheel

__all__ = ["sign_package"]


def sign_package(
    file: str | PathLike[str],
    key: SigningKey | str | PathLike[str],
    *,
    expires: datetime | timedelta | None = None,
    sequence: int | None = None,
) -> Manifest:
    """Sign a package file, in its place, and return what was signed. A signature that it has gives way to the new one.

    `key` is a key, or the file of one. `expires` is a moment, or how long from now; without it the signature holds until it
    is revoked. `sequence` has to grow with every package of a name; without it, it is made of the time and the last one
    given here. What is signed are the bytes that are read here, each proved to be as the package was made.

    Raises `PackageRejected`, `TrustProblem`, `StorageProblem`; the file is as it was then.
    """
    path = Path(file).absolute()
    signer = key if isinstance(key, SigningKey) else SigningKey.load(key)
    moment = _moment(expires)
    if sequence is not None and (isinstance(sequence, bool) or not isinstance(sequence, int) or sequence < 0):
        raise TrustProblem(f"sequence={sequence!r} is no number of a sequence: those are whole, and grow from 0 on.")
    with WheelReader(path) as wheel:
        was_made_here = is_own_build(wheel.check_seal())
        facts = wheel.facts
        own = {f"{facts.dist_info}/{name}" for name in (ENVELOPE_FILE, RECORD_FILE)}
        members = {}
        for one, entry in wheel.members.items():
            if one not in own:
                digests = Digests.of(wheel.data(one))
                wheel.check_hash(one, digests.sha256)
                members[one] = Member(one, wheel.data(one), digests, entry.executable)
        entries = file_entries(wheel.record, {one.path for one in members.values() if one.executable}, facts)
        manifest = Manifest(
            name=facts.uid.name,
            version=facts.uid.version,
            module_name=facts.module_name,
            sequence=next_sequence(facts.uid.name) if sequence is None else sequence,
            requires_python=facts.requires_python,
            built_with=facts.built_with,
            platform=f"{platform.system().lower()}/{platform.machine()}",
            lock=_lock(facts.requirements()),
            source=facts.source,
            content=facts.content,
            created=int(time.time()),
            expires=moment,
            signer=str(signer.public),
            files=entries,
        )
        metadata = {
            one.path.partition("/")[2]: bytes(one.data)
            for one in members.values()
            if one.path.startswith(f"{facts.dist_info}/")
        }
        metadata[ENVELOPE_FILE] = manifest.signed(signer).to_json()
        payload = [one for one in members.values() if not one.path.startswith(f"{facts.dist_info}/")]
        with storing(f"{facts.module_name} cannot be signed", path.parent):
            write_wheel(
                path,
                payload,
                facts.dist_info,
                metadata,
                (lambda seal, _: note_own_build(seal)) if was_made_here else None,
            )
    return manifest


def _moment(expires: datetime | timedelta | None) -> int | None:
    if expires is None:
        return None
    moment = datetime.now(timezone.utc) + expires if isinstance(expires, timedelta) else expires
    if moment.tzinfo is None:
        raise TrustProblem(f"expires={expires!r} does not say in which time zone. Give it one: tzinfo=timezone.utc.")
    if moment <= datetime.now(timezone.utc):
        raise TrustProblem(f"expires={expires!r} is over already.")
    return int(moment.timestamp())


def _lock(requirements: list[str]) -> str:
    """Digest of the requirements that the package declares, in any order."""
    return hashlib.sha256(json.dumps(sorted(requirements)).encode()).hexdigest()
