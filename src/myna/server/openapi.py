"""Describe every address in OpenAPI 3.1: from the routes, their docstrings and their wire models.

Not here: what a request means; its wire model's own description says that.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Route

from myna import __version__
from myna.server.auth import is_public
from myna.server.errors import ErrorBody

Document = dict[str, Any]  # Any: JSON of many shapes, written once and never looked at again.

JSON, FORM = "application/json", "multipart/form-data"
PLACE = re.compile(r"\{(?P<name>\w+)(?::\w+)?\}")
REFERENCE = "#/components/schemas/{name}"
FILE = {"type": "string", "format": "binary"}


class Body(msgspec.Struct, frozen=True):
    """Say what a request's body is: a wire model in JSON, or in a form with files beside it."""

    wire: type[msgspec.Struct]
    files: tuple[str, ...] = ()

    @property
    def media_type(self) -> str:
        """Name the form of the body."""
        return FORM if self.files else JSON


def document(routes: Sequence[BaseRoute], bodies: dict[str, Body]) -> Document:
    """Describe all HTTP routes.

    Args:
        routes: of the application.
        bodies: what the endpoints take, by `key_of`.
    """
    wires = [body.wire for body in bodies.values()]
    schemas, components = msgspec.json.schema_components(
        [*wires, ErrorBody], ref_template=REFERENCE
    )
    kinds: list[type] = [*wires, ErrorBody]
    by_wire = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, Document] = {}
    for route in routes:
        if not isinstance(route, Route):
            continue
        path = PLACE.sub(r"{\g<name>}", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            body = bodies.get(key_of(route))
            operation = _operation(route, path, body, by_wire)
            paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Myna", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def key_of(route: Route) -> str:
    """Name a route by its endpoint."""
    return f"{route.endpoint.__module__}.{route.endpoint.__name__}"


def _operation(
    route: Route, path: str, body: Body | None, by_wire: dict[type, Document]
) -> Document:
    summary = (inspect.getdoc(route.endpoint) or "").partition("\n")[0]
    error = {"content": {JSON: {"schema": by_wire[ErrorBody]}}}
    operation: Document = {
        "summary": summary,
        "operationId": key_of(route).removeprefix("myna.server.routes.").replace(".", "_"),
        "responses": {
            "200": {"description": "The answer; as events where `stream` asks for them."},
            "default": {"description": "Why there is none.", **error},
        },
    }
    if not is_public(path):
        operation["security"] = [{"key": []}]
    names = PLACE.findall(route.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if body is not None:
        schema = by_wire[body.wire]
        if body.files:
            files = {"type": "object", "properties": dict.fromkeys(body.files, FILE)}
            schema = {"allOf": [schema, files | {"required": list(body.files[:1])}]}
        operation["requestBody"] = {
            "required": True,
            "content": {body.media_type: {"schema": schema}},
        }
    return operation
