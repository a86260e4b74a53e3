"""The application that clients talk to: plain JSON for any job, and the Open Inference Protocol V2.

    POST /NAME                          arguments as a JSON object, the answer as JSON
    GET  /docs, /openapi.json           what each name takes and gives
    GET  /v2, /v2/health/live, /v2/health/ready, /v2/models/NAME[/versions/V][/ready]
    POST /v2/models/NAME[/versions/V]/infer
    POST /v2/repository/index, /v2/repository/models/NAME/load, /v2/repository/models/NAME/unload

`X-TG-Version` asks for one version and, in an answer, tells which gave it. `X-TG-Key` keeps requests that belong together
with one version while several share the traffic.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from ..runtime.errors import WorkerEnded
from .access import Access, Role
from .access_log import AccessLog
from .answers import JsonResponse, encoding_for, error_response, send_bytes
from .bodies import REQUEST_BYTES, BadBody, body_of
from .deployer import Deployer, Refused
from .failures import exception_handlers, require
from .frames import JSON_CALL, TENSOR_CALL
from .gateway import ClientLeft, Gateway, NotServed
from .openapi import documentation_files, documentation_page, openapi_of
from .pool import Overloaded, TookTooLong
from .registry import Registry, State
from .replica import Request
from .settings import ServerSettings
from .tensor_calls import HEADER_LENGTH

__all__ = ["inference_application"]

_LOGGER = logging.getLogger("tg.server.request")
_TRACE = (b"traceparent", b"tracestate", b"baggage")
_CALL = re.compile(
    r"/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?"
    r"|/v2/models/(?P<tensors>[^/]+)(?:/versions/(?P<tensor_version>[^/]+))?/infer"
)
_EXTENSIONS = ["binary_tensor_data", "model_repository", "parameters"]
_DIGITS = 18
_PLATFORM = "python"
_STATES = {
    State.READY: "READY",
    State.FAILED: "UNAVAILABLE",
    State.UNLOADED: "UNAVAILABLE",
    State.DRAINING: "UNLOADING",
}


def inference_application(
    settings: ServerSettings, gateway: Gateway, deployer: Deployer, registry: Registry, access: Access
) -> ASGIApp:
    """The application for requests."""
    plain = _Call(JSON_CALL, settings, gateway, access)
    tensors = _Call(TENSOR_CALL, settings, gateway, access)
    protocol = _OpenInference(settings, gateway, deployer, registry, access)

    def openapi(request: HttpRequest) -> Response:
        return JsonResponse(openapi_of(gateway.routes, secured=not access.is_open_for_requests))

    model = "/v2/models/{name}"
    versioned = model + "/versions/{version}"
    rest = Starlette(
        routes=[
            Route("/{name}", plain, methods=["POST"]),
            Route("/{name}/versions/{version}", plain, methods=["POST"]),
            Route(model + "/infer", tensors, methods=["POST"]),
            Route(versioned + "/infer", tensors, methods=["POST"]),
            Route("/v2/health/live", protocol.live),
            Route("/v2/health/ready", protocol.ready),
            Route("/v2", protocol.server),
            Route(model, protocol.model),
            Route(versioned, protocol.model),
            Route(model + "/ready", protocol.model_ready),
            Route(versioned + "/ready", protocol.model_ready),
            Route("/v2/repository/index", protocol.index, methods=["POST"]),
            Route("/v2/repository/models/{name}/load", protocol.load, methods=["POST"]),
            Route("/v2/repository/models/{name}/unload", protocol.unload, methods=["POST"]),
            Route("/openapi.json", openapi),
            Route("/docs", documentation_page),
            Mount("/docs/files", StaticFiles(directory=documentation_files())),
        ],
        exception_handlers={**exception_handlers("/docs, /openapi.json, /v2"), NotServed: _not_served},
    )
    return _Calls(plain, tensors, AccessLog(rest) if settings.access_log else rest)


class _Calls:
    """A short way for calls of jobs: the framework's routing and middleware would be a tenth of all that a call takes."""

    def __init__(self, plain: _Call, tensors: _Call, rest: ASGIApp) -> None:
        self._plain = plain
        self._tensors = tensors
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _CALL.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            return await self._rest(scope, receive, send)
        name, version, tensors, tensor_version = found.groups()
        scope["path_params"] = {"name": name or tensors, "version": version or tensor_version}
        await (self._plain if name else self._tensors)(scope, receive, send)


class _Call:
    """Answers a request by a job: bytes in, bytes out; what they mean is the worker's business."""

    def __init__(self, kind: int, settings: ServerSettings, gateway: Gateway, access: Access) -> None:
        self._kind = kind
        self._settings = settings
        self._gateway = gateway
        self._access = access
        self._names_requests = _request_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, version = scope["path_params"]["name"], scope["path_params"].get("version")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        request_id = given.decode("latin-1")[:128] if given else self._names_requests()
        named = [(b"x-request-id", request_id.encode("latin-1"))]
        started = time.perf_counter()
        try:
            if not self._access.is_open_for_requests:
                authorization = headers.get(b"authorization", b"").decode("latin-1")
                require(self._access, authorization, Role.INFER)
            limits = self._settings
            body = await body_of(headers, receive, limit=limits.body_bytes, seconds=limits.body_seconds)
            request = Request(self._kind, body, self._facts(headers, request_id))
            version = version or headers.get(b"x-tg-version", b"").decode("latin-1") or None
            key = headers.get(b"x-tg-key", b"").decode("latin-1")
            version, served = self._gateway.served(name, version, key)
            named.append((b"x-tg-version", version.encode("latin-1")))
            frame = await self._gateway.answer(name, version, served, request, left=receive)
        except ClientLeft:
            return self._note(name, version, request_id, 499, started)
        except (Refused, BadBody, NotServed, Overloaded, TookTooLong, WorkerEnded) as error:
            status = _status_of(error)
            if status == 401:
                named.append((b"www-authenticate", b"Bearer"))
            elif status == 503:
                named.append((b"retry-after", b"1"))
            if status >= 500:
                facts = {"model": name, "version": version or "", "request_id": request_id, "status": status}
                _LOGGER.warning(str(error), extra={"facts": facts})
            await send_bytes(send, status, json.dumps({"error": str(error)}).encode(), named)
            return self._note(name, version, request_id, status, started)
        except Exception:  # a defect of the server; the framework's own answer would be no JSON
            _LOGGER.exception("unexpected", extra={"facts": {"model": name, "request_id": request_id}})
            told = {"error": f"the server has failed; its log tells more about {request_id}"}
            await send_bytes(send, 500, json.dumps(told).encode(), named)
            return self._note(name, version, request_id, 500, started)
        binary = bool(frame.facts)
        if binary:
            named.append((HEADER_LENGTH.encode(), str(frame.known()["json_size"]).encode()))
        encoding = encoding_for(headers.get(b"accept-encoding"))
        await send_bytes(send, frame.status, frame.body, named, binary=binary, encoding=encoding)
        self._note(name, version, request_id, frame.status, started)

    def _note(self, name: str, version: str | None, request_id: str, status: int, started: float) -> None:
        """A line for a request: for each where that is wanted, otherwise for what the server or a job has failed at."""
        if self._settings.access_log or status >= 500:
            facts = {
                "model": name,
                "version": version or "",
                "request_id": request_id,
                "status": status,
                "ms": round(1000 * (time.perf_counter() - started), 3),
            }
            _LOGGER.info("answered", extra={"facts": facts})

    def _facts(self, headers: Mapping[bytes, bytes], request_id: str) -> dict[str, Any]:
        facts: dict[str, Any] = {"request_id": request_id}
        if b"traceparent" in headers:
            facts.update({name.decode(): headers[name].decode("latin-1") for name in _TRACE if name in headers})
        length = headers.get(HEADER_LENGTH.encode())
        if length is not None:
            if not length.isdigit() or len(length) > _DIGITS:
                raise BadBody(f"{HEADER_LENGTH} is not a number of bytes", status=400)
            facts[HEADER_LENGTH] = int(length)
        return facts


class _OpenInference:
    """The rest of the protocol: health, metadata and the repository of models.

    All of it is in the server's loop: in a thread, what is served could change between two looks at it.
    """

    def __init__(
        self, settings: ServerSettings, gateway: Gateway, deployer: Deployer, registry: Registry, access: Access
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._deployer = deployer
        self._registry = registry
        self._access = access

    async def live(self, request: HttpRequest) -> Response:
        """The server answers."""
        return JsonResponse({"live": True})

    async def ready(self, request: HttpRequest) -> Response:
        """Everything that should be served is."""
        ready = self._deployer.is_ready
        return JsonResponse({"ready": ready}, 200 if ready else 503)

    async def server(self, request: HttpRequest) -> Response:
        """What this server is."""
        return JsonResponse({"name": "training-grounds-delivery", "version": "2", "extensions": _EXTENSIONS})

    async def model(self, request: HttpRequest) -> Response:
        """What a model takes and gives, and which versions of it can be asked for."""
        self._require_to_see(request)
        name = request.path_params["name"]
        _, served = self._gateway.served(name, request.path_params.get("version"))
        described = served.pool.description
        return JsonResponse(
            {
                "name": name,
                "versions": list(self._gateway.routes[name].served),
                "platform": _PLATFORM,
                "inputs": described["inputs"],
                "outputs": described["outputs"],
            }
        )

    async def model_ready(self, request: HttpRequest) -> Response:
        """Whether a model answers."""
        name = request.path_params["name"]
        try:
            self._gateway.served(name, request.path_params.get("version"))
        except NotServed as error:
            return JsonResponse({"name": name, "ready": False, "error": str(error)}, 503 if error.known else 404)
        return JsonResponse({"name": name, "ready": True})

    async def index(self, request: HttpRequest) -> Response:
        """All versions that are known; the body may be empty, or say that only those that are ready are wanted."""
        self._require_to_see(request)
        wanted = await self._body_of(request)
        models = [
            {
                "name": name,
                "version": version.version,
                "state": _STATES.get(version.state, "LOADING"),
                "reason": version.reason,
            }
            for name, version in self._registry.all()
            if not wanted.get("ready") or version.state is State.READY
        ]
        return JsonResponse(models)

    async def load(self, request: HttpRequest) -> Response:
        """Load a model that the server knows: the version that its parameters name, or the one that was live."""
        self._require(request, Role.DEPLOY)
        version = _version_of(await self._body_of(request), request.query_params)
        await self._deployer.load(request.path_params["name"], version)
        return JsonResponse({})

    async def unload(self, request: HttpRequest) -> Response:
        """Unload the version of a model that its parameters name, or all of them."""
        self._require(request, Role.DEPLOY)
        version = _version_of(await self._body_of(request), request.query_params)
        await self._deployer.unload(request.path_params["name"], version)
        return JsonResponse({})

    async def _body_of(self, request: HttpRequest) -> dict[str, Any]:
        headers = dict(request.scope["headers"])
        limits = self._settings
        text = await body_of(headers, request.receive, limit=REQUEST_BYTES, seconds=limits.body_seconds)
        if not text:
            return {}
        try:
            found = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise BadBody(f"the body is no JSON: {error}", status=400) from None
        if not isinstance(found, dict):
            raise BadBody("the body is no JSON object", status=400)
        return found

    def _require_to_see(self, request: HttpRequest) -> None:
        if not self._access.is_open_for_requests:
            self._require(request, Role.READ)

    def _require(self, request: HttpRequest, role: Role) -> None:
        require(self._access, request.headers.get("authorization", ""), role)


def _version_of(said: Mapping[str, Any], query: Mapping[str, str]) -> str | None:
    """The version that is meant; clients that cannot set it in the body can in the address."""
    parameters = said.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise BadBody("parameters are an object", status=400)
    for strange in parameters.keys() - {"version", "unload_dependents"}:
        raise BadBody(f"the parameter {strange!r} is not known here; version is", status=400)
    version = parameters.get("version", query.get("version"))
    if version is not None and not isinstance(version, str):
        raise BadBody("the parameter version is a text", status=400)
    return version


def _status_of(error: Exception) -> int:
    if isinstance(error, (Refused, BadBody)):
        return error.status
    if isinstance(error, NotServed):
        return 503 if error.known else 404
    return 503 if isinstance(error, Overloaded) else 504 if isinstance(error, TookTooLong) else 502


def _not_served(request: HttpRequest, error: Exception) -> Response:
    return error_response(str(error), _status_of(error))


def _request_ids() -> Callable[[], str]:
    """Ids that no other server gives, and that are cheap."""
    beginning = os.urandom(6).hex()
    numbers = itertools.count(1)
    return lambda: f"{beginning}-{next(numbers):x}"
