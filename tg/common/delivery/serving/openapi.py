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
<link rel="stylesheet" href="docs/files/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/files/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "openapi.json", dom_id: "#page", deepLinking: true})</script>
</body>
</html>
"""
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}


def openapi_of(routes: Mapping[str, Route], *, secured: bool) -> dict[str, Any]:
    """The description of all names, each by its live version."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Error": _ERROR}
    for name, route in sorted(routes.items()):
        version = route.traffic.live
        if version is None or version not in route.served:
            continue
        description = route.served[version].pool.description
        schema = _renamed(description["schema"], name)
        schemas.update({f"{name}.{key}": value for key, value in schema["definitions"].items()})
        paths[f"/{name}"] = {"post": _operation(name, version, description["documentation"], schema)}
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
    from swagger_ui_bundle import swagger_ui_path

    return Path(swagger_ui_path)


def _operation(name: str, version: str, documentation: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    summary, _, rest = documentation.partition("\n")
    failed = {
        "description": "Why not",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    return {
        "operationId": name,
        "summary": summary or name,
        "description": rest.strip() or f"Version {version} is live.",
        "tags": [name],
        "parameters": [
            {
                "name": "X-TG-Version",
                "in": "header",
                "schema": {"type": "string"},
                "description": "ask for one version",
            },
            {"name": "X-TG-Key", "in": "header", "schema": {"type": "string"}, "description": "stay with one version"},
        ],
        "requestBody": {"content": {"application/json": {"schema": schema["arguments"]}}},
        "responses": {
            "200": {"description": "The answer", "content": {"application/json": {"schema": schema["answer"]}}},
            **dict.fromkeys(("404", "413", "422", "500", "502", "503", "504"), failed),
        },
    }


def _renamed(found: Any, name: str) -> Any:
    """A schema whose references are to the definitions of this name: two jobs may both have a `Flight`."""
    if isinstance(found, dict):
        return {
            key: value.replace("#/components/schemas/", f"#/components/schemas/{name}.")
            if key == "$ref"
            else _renamed(value, name)
            for key, value in found.items()
        }
    return [_renamed(one, name) for one in found] if isinstance(found, list) else found
