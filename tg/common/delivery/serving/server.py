"""The server: both applications at their ports, in one loop; and how it starts and ends."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import math
import resource
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import uvicorn
from starlette.types import ASGIApp

from ..delivery.storage import storing
from ..runtime.errors import DeliveryError, ServerProblem
from ..runtime.whole_files import make_private_folder, sweep_unfinished, write_whole
from .access import Access, Role
from .certificate import Certificate
from .children import Nurseries
from .deployer import Deployer
from .gateway import Gateway
from .heads import BoundedHeads
from .inference import inference_application
from .json_lines import log_to_stderr
from .management import management_application
from .metrics import Metrics
from .registry import Registry
from .settings import ServerSettings

__all__ = ["Server"]

_LOGGER = logging.getLogger("tg.server")
_BACKLOG = 4096


class _Listener(uvicorn.Server):
    """One port; signals are the server's, which has two of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See `uvicorn.Server`."""
        yield


class Server:
    """Serves packages, and takes new versions while it does."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; requests under way are answered then. Raises as `serve`."""
        log_to_stderr()
        _allow_many_files()
        loop = _new_loop()
        try:
            loop.run_until_complete(self.serve())
        finally:
            loop.close()

    async def serve(self) -> None:
        """The same in a loop of the caller's.

        Raises `ServerProblem` for a port that is taken, a folder that another server has and a certificate that is none,
        `StorageProblem` for a folder that cannot be read or written, and `TrustProblem` for tokens that cannot be read.
        In the main thread, SIGINT and SIGTERM are its own meanwhile, and do what they do by default afterwards.
        """
        settings = self.settings
        with storing("what is served cannot be kept", settings.folder):
            make_private_folder(settings.folder)
            lock = open(settings.folder / "lock", "wb")  # noqa: SIM115 it is closed below
        with lock:
            _keep_others_out(lock, settings.folder)
            await self._serve()

    async def _serve(self) -> None:
        settings = self.settings
        shutil.rmtree(settings.uploads_folder, ignore_errors=True)  # what a killed server was taking in
        sweep_unfinished(settings.folder)
        _own_token(settings)
        access = Access.of_file(settings.tokens_file)
        registry = Registry(settings.folder)
        metrics = Metrics()
        gateway = Gateway(metrics)
        nurseries = Nurseries(settings.preload)
        deployer = Deployer(settings, registry, gateway, metrics, nurseries)
        deployer.take_over()
        inference = inference_application(settings, gateway, deployer, registry, access)
        management = management_application(settings, gateway, deployer, registry, metrics, access)
        certificate = _certificate_of(settings)
        listeners = [self._listener(application, certificate) for application in (inference, management)]
        sockets: list[socket.socket] = []
        self._stopping = asyncio.Event()
        self._loop = loop = asyncio.get_running_loop()
        in_main_thread = threading.current_thread() is threading.main_thread()  # others get no signals
        signals = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
        working: list[asyncio.Task[Any]] = []
        serving: list[asyncio.Task[None]] = []
        try:
            for number in signals:
                loop.add_signal_handler(number, self._stop_at_signal, number)
            sockets.append(_bound(settings.host, settings.port))
            sockets.append(_bound(settings.management_host, settings.management_port))
            serving += [loop.create_task(one.serve(sockets=[at])) for one, at in zip(listeners, sockets, strict=True)]
            addresses = {"requests": _address_of(sockets[0]), "management": _address_of(sockets[1])}
            _LOGGER.info("listening", extra={"facts": addresses})
            working += [
                loop.create_task(_each_second(metrics, access, certificate)),
                loop.create_task(_restore(deployer)),
                loop.create_task(self._stopping.wait()),
            ]
            await asyncio.wait([*serving, working[-1]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for listener in listeners:
                listener.should_exit = True
            ended = await asyncio.gather(*serving, return_exceptions=True)
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            await deployer.close()
            nurseries.close()
            for at in sockets:
                at.close()
            for number in signals:
                loop.remove_signal_handler(number)
        for error in ended:
            if isinstance(error, BaseException):
                raise error

    def _stop_at_signal(self, number: int) -> None:
        assert self._loop is not None
        self._loop.remove_signal_handler(number)
        signal.signal(
            number, signal.SIG_DFL
        )  # whoever has no patience ends it at once; the kernel ends its workers then
        _LOGGER.info(
            "ending after what is under way; a second signal ends it at once",
            extra={"facts": {"signal": signal.Signals(number).name}},
        )
        self.stop()

    def stop(self) -> None:
        """End it, after the requests that are under way. Any thread may call this."""
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stopping.set)

    def _listener(self, application: ASGIApp, certificate: Certificate | None) -> _Listener:
        settings = self.settings
        config = uvicorn.Config(
            application,
            http=cast("type[asyncio.Protocol]", partial(BoundedHeads, head_seconds=settings.head_seconds)),
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            lifespan="off",
            backlog=_BACKLOG,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=math.ceil(settings.stop_seconds),
            ssl_certfile=settings.certificate,
            ssl_keyfile=settings.certificate_key,
        )
        try:
            config.load()
        except OSError as error:  # `ssl.SSLError` is one
            if certificate is None:  # nothing else is read
                raise
            raise certificate.problem(error) from error
        if certificate is not None and config.ssl is not None:
            certificate.renew_in(config.ssl)
        return _Listener(config)


def _keep_others_out(lock: BinaryIO, folder: Path) -> None:
    """Lock a folder for as long as this process lives, however it ends. Raises `ServerProblem` when another server has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ServerProblem(
            f"another server keeps its versions in {folder}. End that one, or give this one another folder (--store).",
            server=str(folder),
        ) from error


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServerProblem(f"{host}:{port} cannot be listened at: {reason}.", server=f"{host}:{port}") from error


def _address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _restore(deployer: Deployer) -> None:
    try:
        await deployer.restore()
    except Exception:
        _LOGGER.exception("what was served cannot be restored")


async def _each_second(metrics: Metrics, access: Access, certificate: Certificate | None) -> None:
    while True:
        await asyncio.sleep(1)
        metrics.end_second()
        try:
            access.refresh()
        except (DeliveryError, OSError) as error:
            _LOGGER.error(f"the tokens are those of before: {error}")
        try:
            if certificate is not None:
                certificate.refresh()
        except ServerProblem as error:
            _LOGGER.error(f"the certificate is that of before: {error}")


def _certificate_of(settings: ServerSettings) -> Certificate | None:
    if settings.certificate is None or settings.certificate_key is None:
        return None
    return Certificate(settings.certificate, settings.certificate_key)


def _own_token(settings: ServerSettings) -> None:
    """A server that has no tokens makes one, for whoever may read its folder; `tg deploy` on this machine does."""
    if settings.tokens is None and not settings.tokens_file.exists():
        secret = Access.new_token(settings.tokens_file, "owner", Role.DEPLOY)
        write_whole(settings.folder / "token", lambda opened: opened.write(secret.encode()))


def _allow_many_files() -> None:
    """Each connection is a file; the limit that shells give is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
