"""The server: both applications at their ports, in one loop; and how it starts and ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import shutil
import signal
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from ..runtime.whole_files import make_private_folder
from .access import Access, Role
from .children import Nurseries
from .deployer import Deployer
from .gateway import Gateway
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
        self._stopping: asyncio.Event | None = None

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; requests under way are answered then. Raises `OSError` for a port that is taken."""
        log_to_stderr()
        _allow_many_files()
        _new_loop().run_until_complete(self.serve())

    async def serve(self) -> None:
        """The same in a loop of the caller's."""
        settings = self.settings
        make_private_folder(settings.folder)
        shutil.rmtree(settings.uploads_folder, ignore_errors=True)  # what a killed server was taking in
        _own_token(settings)
        access = Access.of_file(settings.tokens_file)
        registry = Registry(settings.folder)
        metrics = Metrics()
        gateway = Gateway(metrics)
        nurseries = Nurseries(settings.preload)
        deployer = Deployer(settings, registry, gateway, metrics, nurseries)
        inference = inference_application(settings, gateway, deployer, registry, access)
        management = management_application(settings, gateway, deployer, registry, metrics, access)
        listeners = [
            self._listener(inference, settings.host, settings.port),
            self._listener(management, settings.management_host, settings.management_port),
        ]
        self._stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        seconds = loop.create_task(_end_seconds(metrics))
        serving = [loop.create_task(listener.serve()) for listener in listeners]
        await nurseries.open()
        restoring = loop.create_task(deployer.restore())
        stopping = loop.create_task(self._stopping.wait())
        try:
            await asyncio.wait([*serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for listener in listeners:
                listener.should_exit = True
            await asyncio.gather(*serving, return_exceptions=True)
            for task in (restoring, seconds, stopping):
                task.cancel()
            await deployer.close()
            nurseries.close()

    def stop(self) -> None:
        """End it, after the requests that are under way."""
        if self._stopping is not None:
            self._stopping.set()

    def _listener(self, application: Starlette, host: str, port: int) -> _Listener:
        settings = self.settings
        return _Listener(
            uvicorn.Config(
                application,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                lifespan="off",
                backlog=_BACKLOG,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=int(settings.stop_seconds),
                ssl_certfile=settings.certificate,
                ssl_keyfile=settings.certificate_key,
            )
        )


async def _end_seconds(metrics: Metrics) -> None:
    while True:
        await asyncio.sleep(1)
        metrics.end_second()


def _own_token(settings: ServerSettings) -> None:
    """A server that has no tokens makes one, for whoever may read its folder; `tg deploy` on this machine does."""
    if settings.tokens is None and not settings.tokens_file.exists():
        secret = Access.new_token(settings.tokens_file, "owner", Role.DEPLOY)
        file = settings.folder / "token"
        file.write_text(secret, encoding="ascii")
        file.chmod(0o600)


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
