"""The certificate of a server, which may be renewed while it serves."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable
from pathlib import Path

from ..runtime.errors import ServerProblem
from .watched_files import WatchedFiles

__all__ = ["Certificate"]

_LOGGER = logging.getLogger("tg.server")


class Certificate:
    """A chain and its private key, both in files, in PEM."""

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain, self._key = chain, key
        self._watched = WatchedFiles(chain, key)

    def refresh(self, contexts: Iterable[ssl.SSLContext]) -> None:
        """Give contexts the files again if they have changed: connections from now on have what is in them.

        Raises `ServerProblem`, once for each change, when they are no certificate and key; the contexts are as before then.
        """
        if not self._watched.have_changed():
            return
        try:
            # In one that nobody uses first: a chain without its key would stay in a context.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._chain, self._key)
            for context in contexts:
                context.load_cert_chain(self._chain, self._key)
        except OSError as error:  # `ssl.SSLError` is one
            raise self.problem(error) from error
        _LOGGER.info("the certificate was read again", extra={"facts": {"certificate": str(self._chain)}})

    def problem(self, error: OSError) -> ServerProblem:
        """What is wrong with the files."""
        return ServerProblem(
            f"{self._chain} and {self._key} are no certificate and key for TLS: {error}.", server=str(self._chain)
        )
