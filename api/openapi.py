"""The OpenAPI document: what FastAPI knows, and what it cannot: the door, the problems, who needs what."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import Route

from api.access.permissions import Table
from schemas.problems import Problem

_ABOUT = """Start runs of agents against real systems, follow them live, decide what they ask, and read what they did.

Every error is an RFC 9457 problem with a stable `code`, a `remedy` and whether the same call may be `retryable`.
Every POST honours `Idempotency-Key`."""


def describe(app: FastAPI) -> None:
    """Give the app its document, made once."""
    table = Table()

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, table)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # FastAPI's own way to extend it


def documented_routes(app: FastAPI) -> set[tuple[str, str]]:
    """Every method and path that the app answers."""
    told = {
        (method.upper(), path) for path, operations in app.openapi()["paths"].items() for method in operations
    }
    hidden = {("GET", route.path) for route in app.routes if isinstance(route, Route)}
    return told | hidden


def _document(app: FastAPI, table: Table) -> dict[str, Any]:
    found = get_openapi(title="Holdfast", version="1", description=_ABOUT, routes=app.routes)
    components = found.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _flat(
        Problem.model_json_schema(), components["schemas"]
    )
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _declare(operation, table, method.upper(), path)
    return found


def _declare(operation: dict[str, Any], table: Table, method: str, path: str) -> None:
    rule = table.find(method, path)
    if rule is None or rule.permission is None:
        return
    operation["security"] = [{"bearer": []}]
    operation["x-permission"] = rule.permission.value
    if method == "POST":
        operation.setdefault("parameters", []).append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "The same key with the same body gets the same answer, and the work is done once.",
                "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
            }
        )


def _flat(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions moved to where OpenAPI keeps them."""
    schemas.update(schema.pop("$defs", {}))
    properties = schema["properties"]
    properties["errors"]["items"] = {"$ref": "#/components/schemas/FieldProblem"}
    return schema
