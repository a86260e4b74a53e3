"""A secret: a text that is used, and never shown, logged or stored."""

from __future__ import annotations

import hmac
from typing import NoReturn, SupportsIndex

__all__ = ["Secret"]


class Secret:
    """A password or token. It prints as `[REDACTED]`, also as part of something else; `reveal` gives the text.

    It cannot be pickled, so it is in no package and no message to another process.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "[REDACTED]"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # How long it takes does not tell how much of it is right.
        return hmac.compare_digest(
            self._value.encode("utf-8", "surrogatepass"), other._value.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a Secret is not pickled: whoever got the file would have it. Pass it where it is used, as a variable of the "
            "environment for example."
        )
