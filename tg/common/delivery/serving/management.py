"""The application that those who run a server talk to: deploys, traffic, what is live, metrics, and the page.

GET    /status[?seconds=&since=]            names, versions, states, traffic, the last seconds of each
POST   /packages[?mode=&share=]             a package file as the body: deploy it
GET    /deployments                         the last ones, with their logs
PUT    /names/NAME/traffic                  {"weights": {"1.0.0": 90, "1.1.0": 10}, "shadow": null}
POST   /names/NAME/rollback
POST   /names/NAME/versions/V/load, /names/NAME/versions/V/unload
GET    /names/NAME/difference?before=&after=
GET    /metrics, /health/live, /health/ready
GET    /                                    the page, from the files in `page/`; it uses what stands above and nothing else

The page asks for /status once a second. With `since`, the `at` of the newest second that it has, it gets those after that alone:
`[at, requests, errors, p50, p99]`, milliseconds. `deployments` there has the `last` number and how many are `under_way`, so the page
asks for /deployments when one of them has changed; `token` says whose token it is and whether it `may_deploy`; `requests` where the
other port is. A name's `held` versions are ready without requests. A version's `memory_bytes` are at most five seconds old, and 0 until they are known. `shadow_answers` counts those of the shadow version that
were the `same` as what was returned, or `different`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from ..delivery.storage import storing
from ..runtime.whole_files import make_private_folder
from .access import Access, Role
from .answers import JsonResponse
from .bodies import REQUEST_BYTES, body_of, write_body
from .deployer import Deployer, Refused
from .failures import exception_handlers, require
from .gateway import Gateway
from .metrics import CONTENT_TYPE, MemoryMeter, Metrics
from .registry import Registry
from .settings import ServerSettings
from .traffic import Traffic

__all__ = ["management_application"]

_PAGE = Path(__file__).parent / "page"
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",  # asked for again each time, so that a server that is updated shows its own page
}
_MODES = ("live", "canary", "shadow", "none")


def management_application(
    settings: ServerSettings,
    gateway: Gateway,
    deployer: Deployer,
    registry: Registry,
    metrics: Metrics,
    access: Access,
) -> Starlette:
    """The application for those who run the server."""
    manage = _Management(settings, gateway, deployer, registry, metrics, access)
    name = "/names/{name}"
    return Starlette(
        routes=[
            Route("/health/live", manage.live),
            Route("/health/ready", manage.ready),
            Route("/status", manage.status),
            Route("/metrics", manage.metrics),
            Route("/deployments", manage.deployments),
            Route("/packages", _Deploy(manage), methods=["POST"]),
            Route(name + "/traffic", manage.direct, methods=["PUT"]),
            Route(name + "/rollback", manage.roll_back, methods=["POST"]),
            Route(name + "/versions/{version}/load", manage.load, methods=["POST"]),
            Route(name + "/versions/{version}/unload", manage.unload, methods=["POST"]),
            Route(name + "/difference", manage.difference),
            Mount("/", _Page(directory=_PAGE, html=True, check_dir=False)),
        ],
        exception_handlers=exception_handlers("/, /status, /packages, /deployments, /names, /metrics, /health"),
    )


class _Page(StaticFiles):
    """The files of the page, which takes scripts, styles and data from this server alone."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_PAGE_HEADERS)
        return response


class _Management:
    def __init__(
        self,
        settings: ServerSettings,
        gateway: Gateway,
        deployer: Deployer,
        registry: Registry,
        metrics: Metrics,
        access: Access,
    ) -> None:
        self.settings = settings
        self.deployer = deployer
        self._gateway = gateway
        self._registry = registry
        self._metrics = metrics
        self._access = access
        self._memory = MemoryMeter()

    def require(self, request: Request, role: Role) -> str:
        """The name of the token. Raises `Refused` when it may not do that."""
        return require(self._access, request.headers.get("authorization", ""), role)

    async def live(self, request: Request) -> Response:
        """The server answers."""
        return JsonResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """Everything that should be served is."""
        ready = self.deployer.is_ready
        return JsonResponse({"ready": ready}, 200 if ready else 503)

    async def status(self, request: Request) -> Response:
        """What is served, and how it goes."""
        who = self.require(request, Role.READ)
        seconds, since = _number_of(request, "seconds", 60), _number_of(request, "since", 0)
        figures = {key: version.last(int(seconds), since) for key, version in self._metrics.all()}
        pools = self.deployer.pools()
        memory = await self._memory.of({key: pool.process_ids for key, pool in pools.items()})
        names = {}
        for name, known in self._registry.names.items():
            versions = []
            for version in sorted(known.versions.values(), key=lambda one: -one.deployed_at):
                key = name, version.version
                pool = pools.get(key)
                described = msgspec.to_builtins(version)
                for hidden in ("folder", "python"):
                    del described[hidden]
                ended = figures.get(key, [])
                versions.append(
                    {
                        **described,
                        "workers": pool.workers if pool else 0,
                        "waiting": pool.waiting if pool else 0,
                        "memory_bytes": memory.get(key, 0),
                        "seconds": ended if pool or any(second.requests for second in ended) else [],
                    }
                )
            shadow = known.traffic.shadow
            names[name] = {
                "traffic": known.traffic,
                "previous": known.previous,
                "held": known.held,
                "shadow_answers": self._metrics.shadow_answers(name, shadow) if shadow else None,
                "versions": versions,
            }
        deployments = self.deployer.deployments
        return JsonResponse(
            {
                "ready": self.deployer.is_ready,
                "token": {"name": who, "may_deploy": self._may_deploy(request)},
                "requests": {"host": self.settings.host, "port": self.settings.port},
                "deployments": {
                    "last": deployments[-1].number if deployments else 0,
                    "under_way": sum(one.is_under_way for one in deployments),
                },
                "names": names,
            }
        )

    def _may_deploy(self, request: Request) -> bool:
        return self._access.who(request.headers.get("authorization", ""), Role.DEPLOY) is not None

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text."""
        self.require(request, Role.READ)
        pools = dict(self.deployer.pools())
        memory = await self._memory.of({key: pool.process_ids for key, pool in pools.items()})
        for (name, version), pool in pools.items():
            if self.deployer.pools().get((name, version)) is not pool:
                continue  # it was unloaded meanwhile
            if pool.process_ids and (name, version) in memory:
                self._metrics.memory.labels(name, version).set(memory[name, version])
            self._metrics.waiting.labels(name, version).set(pool.waiting)
            self._metrics.workers.labels(name, version).set(pool.workers)
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def deployments(self, request: Request) -> Response:
        """The last deploys, the newest first."""
        self.require(request, Role.READ)
        return JsonResponse(list(reversed(self.deployer.deployments)))

    async def direct(self, request: Request) -> Response:
        """Give the requests of a name to other versions."""
        self.require(request, Role.DEPLOY)
        headers, seconds = dict(request.scope["headers"]), self.settings.body_seconds
        body = await body_of(headers, request.receive, limit=REQUEST_BYTES, seconds=seconds)
        try:
            traffic = msgspec.json.decode(body, type=Traffic)
        except msgspec.DecodeError as error:
            raise Refused(f"that is no traffic: {error}", status=422) from None
        if any(weight < 1 for weight in traffic.weights.values()):
            raise Refused("a weight is 1 at least; leave out a version that is to get nothing", status=422)
        await self.deployer.direct(request.path_params["name"], traffic)
        return JsonResponse(traffic)

    async def roll_back(self, request: Request) -> Response:
        """Go back to the version before."""
        self.require(request, Role.DEPLOY)
        return JsonResponse(await self.deployer.roll_back(request.path_params["name"]))

    async def load(self, request: Request) -> Response:
        """Load a version, and give it the traffic."""
        self.require(request, Role.DEPLOY)
        version = await self.deployer.load(request.path_params["name"], request.path_params["version"])
        return JsonResponse({"version": version})

    async def unload(self, request: Request) -> Response:
        """Unload a version that has no traffic."""
        self.require(request, Role.DEPLOY)
        await self.deployer.unload(request.path_params["name"], request.path_params["version"])
        return JsonResponse({})

    async def difference(self, request: Request) -> Response:
        """What is different in the source of two versions, as a unified diff."""
        self.require(request, Role.READ)
        before, after = (request.query_params.get(side, "") for side in ("before", "after"))
        return JsonResponse({"difference": await self.deployer.difference(request.path_params["name"], before, after)})


class _Deploy:
    """Takes a package file in as it comes, and deploys it."""

    def __init__(self, manage: _Management) -> None:
        self._manage = manage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        settings = self._manage.settings
        by = self._manage.require(request, Role.DEPLOY)
        mode, share = _mode_of(request.query_params)
        file = settings.uploads_folder / f"{os.urandom(8).hex()}.whl"
        try:
            with storing("the package cannot be taken in", settings.uploads_folder):
                make_private_folder(file.parent)
                await write_body(
                    dict(scope["headers"]), receive, file, limit=settings.package_bytes, seconds=settings.body_seconds
                )
            deployment = await self._manage.deployer.deploy(file, by=by, mode=mode, share=share)
        finally:
            file.unlink(missing_ok=True)
        await JsonResponse(deployment)(scope, receive, send)


def _number_of(request: Request, parameter: str, otherwise: float) -> float:
    """A number among the parameters of a request. Raises `Refused` for anything else."""
    text = request.query_params.get(parameter)
    try:
        number = otherwise if text is None else float(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise Refused(f"{parameter} is a number, 0 at least, and not {text!r}", status=422)
    return number


def _mode_of(parameters: Mapping[str, str]) -> tuple[str, int]:
    mode, share = parameters.get("mode", "live"), parameters.get("share", "10")
    if mode not in _MODES:
        raise Refused(f"mode is one of {', '.join(_MODES)}", status=422)
    if not share.isdecimal() or len(share) > 2 or int(share) < 1:
        raise Refused("share is a number of per cent from 1 to 99", status=422)
    return mode, int(share)
