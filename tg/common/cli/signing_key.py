"""The key to sign with: that of `--key`, or the one where keys are."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING

from ..locations import Loc

if TYPE_CHECKING:
    from ..delivery.trust.keys import SigningKey

__all__ = ["add_key", "default_key", "signing_key"]


def default_key() -> Path:
    """Where the key is that `tg keys new` makes."""
    return Loc.keys / "signing"


def add_key(parser: ArgumentParser) -> None:
    """`--key`."""
    parser.add_argument("--key", type=Path, help=f"the private key to sign with; {default_key()} unless given")


def signing_key(file: Path | None) -> SigningKey:
    """Read it; whoever is at the terminal is asked for its passphrase, if it has one."""
    from ..delivery.trust import SigningKey

    place = file or default_key()

    def ask() -> str:
        import getpass

        return getpass.getpass(f"Passphrase of {place}: ")

    return SigningKey.load(place, passphrase=ask)
