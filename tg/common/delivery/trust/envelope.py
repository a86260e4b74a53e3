"""The envelope: a message with its signatures, as DSSE has it (secure-systems-lab/dsse, protocol 1.0.2).

What is signed is the message's bytes together with their kind, so nothing has to be in a canonical form to be verified,
and a message of one kind cannot be passed off as another.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from .keys import PublicKey, SigningKey

__all__ = ["Envelope"]


@dataclass(frozen=True)
class Envelope:
    """A message (`payload`) of some kind, and signatures, each with the id of its key."""

    kind: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    @classmethod
    def sealed(cls, kind: str, payload: bytes, key: SigningKey) -> Envelope:
        """The message, signed with a key."""
        return cls(kind, payload, ((key.public.key_id, key.sign(_encoded(kind, payload))),))

    @classmethod
    def parse(cls, text: bytes) -> Envelope:
        """Read the JSON form. Raises `ValueError` for anything else."""
        try:
            found = json.loads(text)
            signatures = tuple((str(one["keyid"]), _decoded(one["sig"])) for one in found["signatures"])
            return cls(str(found["payloadType"]), _decoded(found["payload"]), signatures)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it is no DSSE envelope ({type(error).__name__}: {error})") from error

    def to_json(self) -> bytes:
        """The JSON form."""
        content = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.kind,
            "signatures": [{"keyid": key, "sig": base64.b64encode(one).decode()} for key, one in self.signatures],
        }
        return (json.dumps(content, indent=1) + "\n").encode()

    def is_signed_by(self, key: PublicKey) -> bool:
        """Whether one of the signatures is by this key, and of this message."""
        message = _encoded(self.kind, self.payload)
        return any(key_id == key.key_id and key.verifies(one, message) for key_id, one in self.signatures)


def _encoded(kind: str, payload: bytes) -> bytes:
    """PAE, the "pre-authentication encoding" of DSSE: what is signed."""
    return b"DSSEv1 %d %b %d %b" % (len(kind.encode()), kind.encode(), len(payload), payload)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is no DSSE envelope ({error})") from error
