"""The certificate of a server, which may be renewed while it serves."""

from __future__ import annotations

import logging
import ssl
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
        self._renewed: ssl.SSLContext | None = None

    def renew_in(self, context: ssl.SSLContext) -> None:
        """Have connections of a context get the renewed certificate, once there is one.

        Each gets another context, as a name that a client asks for would: loading another pair into the same one keeps the
        former for clients that take its type of key, and leaves it without a key when the pair is none.
        """

        def choose(connection: ssl.SSLObject, name: str | None, own: ssl.SSLContext) -> None:
            if self._renewed is not None:
                connection.context = self._renewed

        context.sni_callback = choose

    def refresh(self) -> None:
        """Read the files again if they have changed: connections from now on have what is in them.

        Raises `ServerProblem`, once for each change, when they are no certificate and key; what was there is in use then.
        """
        if not self._watched.have_changed():
            return
        renewed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            renewed.load_cert_chain(self._chain, self._key, password=lambda: "")  # a question would hold up the server
        except OSError as error:  # `ssl.SSLError` is one
            raise self.problem(error) from error
        self._renewed = renewed
        _LOGGER.info("the certificate was read again", extra={"facts": {"certificate": str(self._chain)}})

    def problem(self, error: OSError) -> ServerProblem:
        """What is wrong with the files."""
        return ServerProblem(
            f"{self._chain} and {self._key} are no certificate and key for TLS: {error}.", server=str(self._chain)
        )
