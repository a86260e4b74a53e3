"""What somebody is told whose request is not answered by a job: JSON at every place, on both ports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..runtime.errors import StorageProblem
from .access import Access, Role
from .answers import JsonResponse, error_response
from .bodies import BadBody
from .deployer import Refused

__all__ = ["exception_handlers", "require"]


def require(access: Access, authorization: str, role: Role) -> str:
    """The name of the token in an `Authorization` header. Raises `Refused` when it may not do that."""
    who = access.who(authorization, role)
    if who is None:
        message, status = access.refusal(authorization, role)
        raise Refused(message, status=status)
    return who


def exception_handlers(there: str) -> dict[Any, Callable[[Request, Exception], Response | Awaitable[Response]]]:
    """The handlers of an application; `there` names its places, for who asks for others."""

    def no_such_place(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        told = f"{request.method} {request.url.path}: {error.detail}. What there is: {there}"
        return error_response(told, error.status_code, **(error.headers or {}))

    return {
        Refused: _refused,
        BadBody: _refused,
        StorageProblem: _no_room,
        HTTPException: no_such_place,
        Exception: _failed,
    }


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, (Refused, BadBody))
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
    deployment = error.deployment if isinstance(error, Refused) else None
    told = {"error": str(error)} if deployment is None else {"error": str(error), "deployment": deployment}
    return JsonResponse(told, error.status, headers)


def _no_room(request: Request, error: Exception) -> Response:
    return error_response(str(error), 507)


def _failed(request: Request, error: Exception) -> Response:
    return error_response("the server itself has failed at this; its log says why", 500)
