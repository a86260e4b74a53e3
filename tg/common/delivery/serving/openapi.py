"""OpenAPI 3.1 of what is live, made from the type hints of its jobs; and the page that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from .gateway import Route

__all__ = ["documentation_files", "documentation_page", "openapi_of"]

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What is served here</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/files/swagger_style.css">
</head>
<body>
<div id="page"></div>
<script src="docs/files/swagger_bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json", dom_id: "#page", deepLinking: true})</script>
</body>
</html>
"""
_FAILURES = {
    "400": "The body cannot be read",
    "404": "Nothing is served under this name, or not that version",
    "408": "The body has not come whole in time",
    "413": "The body is bigger than bodies may be here",
    "415": "The content encoding of the body is not known here",
    "500": "The job has raised",
    "502": "The worker has ended while it answered",
    "503": "No worker is free, or the version is not ready: try again later",
    "504": "It took too long, and was given up",
}
_SCHEMAS = {
    "Error": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]},
    "InvalidArguments": {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "problems": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "place": {"type": "array", "items": {"type": ["string", "integer"]}},
                        "problem": {"type": "string"},
                    },
                    "required": ["place", "problem"],
                },
            },
        },
        "required": ["error", "problems"],
    },
}
_PARAMETERS = [
    {
        "name": "X-TG-Version",
        "in": "header",
        "schema": {"type": "string"},
        "description": "Ask for one version",
    },
    {
        "name": "X-TG-Key",
        "in": "header",
        "schema": {"type": "string"},
        "description": "Requests with the same key stay with one version",
    },
]
_VERSION_HEADER = {"X-TG-Version": {"schema": {"type": "string"}, "description": "The version that has answered"}}


def openapi_of(routes: Mapping[str, Route], *, secured: bool) -> dict[str, Any]:
    """The description of all names, each by its live version."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = dict(_SCHEMAS)
    for name, route in sorted(routes.items()):
        version = route.traffic.live
        if version is None or version not in route.served:
            continue
        description = route.served[version].pool.description
        schemas.update(description["schema"]["definitions"])
        operation = _operation(name, version, description["documentation"], description["schema"], secured=secured)
        paths[f"/{name}"] = {"post": operation}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Training Grounds Delivery", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if secured:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def documentation_page(request: Request) -> Response:
    """A page to read it, and to try it."""
    return HTMLResponse(_PAGE)


def documentation_files() -> Path:
    """The folder with what that page shows it with, Swagger UI."""
    import offapi

    return Path(offapi.__file__).parent


def _operation(
    name: str, version: str, documentation: str, schema: Mapping[str, Any], *, secured: bool
) -> dict[str, Any]:
    summary, _, rest = documentation.partition("\n")
    failures = {**_FAILURES, **({"401": "A token with the role infer is needed"} if secured else {})}
    return {
        "operationId": name,
        "summary": summary or name,
        "description": rest.strip() or f"Version {version} is live.",
        "tags": [name],
        "parameters": _PARAMETERS,
        "requestBody": {
            "required": bool(schema["arguments"].get("required")),
            "content": {"application/json": {"schema": schema["arguments"]}},
        },
        "responses": {
            "200": {
                "description": "The answer",
                "headers": _VERSION_HEADER,
                "content": {"application/json": {"schema": schema["answer"]}},
            },
            **{status: _failure(why, "Error") for status, why in sorted(failures.items())},
            "422": _failure("The arguments are not those of the job", "InvalidArguments"),
        },
    }


def _failure(why: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": why, "content": {"application/json": {"schema": reference}}}
