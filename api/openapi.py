"""The OpenAPI document: what FastAPI knows, and what it cannot: the door, the problems, who needs what, examples."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.routing import Route

from api.access.permissions import Rule, Table
from api.examples import BODIES, example_of
from api.problems import LAYERS, documented, example
from schemas.base import JsonObject
from schemas.events import ModelDelta, RunEvent
from schemas.problems import MEDIA_TYPE, Problem

_ABOUT = """Start runs of agents against real systems, follow them live, decide what they ask, and read what they did.

Every error is an RFC 9457 problem with a stable `code`, a `remedy` and whether the same call may be `retryable`.
Every POST honours `Idempotency-Key`. Every list is `items` and `next`, the cursor of the next page. A query parameter
that a route does not know is refused. HEAD answers where GET does, except for streams.

`GET /v1/runs/{run_id}/ws?after=` is the stream of a run over WebSocket: each message is a `RunEvent` or a `ModelDelta`."""
_TAGS = {
    "health": "Whether it lives, whether it can work, and what Prometheus reads. Outside `/v1`.",
    "runs": "One execution of a goal by an agent: start it, command it, read what it planned, did and cost.",
    "streams": "Everything that happens in a tenant, as it happens.",
    "approvals": "What waits for a person, and what the person says.",
    "agents": "Versioned roles: instructions, allowed tools, limits.",
    "tools": "What runs can call, how each fares, and its switch.",
    "policies": "The rules that judge every action: written, tried, activated, rolled back.",
    "freezes": "Hold matching actions of every run at once.",
    "access": "API keys, roles, tenants, and the audit log.",
    "runbooks": "Operational documents: ingested, searched, checked, rolled back.",
    "memory": "What runs taught: found, corrected, vouched for, forgotten.",
    "models": "What models cost, how they fare, and what was decided about each call.",
    "consensus": "A question that several models answer.",
    "schedules": "Runs that start by the clock.",
    "webhooks": "Events, told to other systems.",
    "mcp": "Holdfast as a server of the Model Context Protocol.",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same body gets the same answer, and the work is done once.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
}
_ANSWERED_AGAIN = {
    "description": "`true` where this answer was given before, to the same key.",
    "schema": {"type": "string"},
}
_LOCATION = {
    "description": "Where what was made is read, if it has an address.",
    "schema": {"type": "string"},
}
_HEADERS: dict[int, JsonObject] = {
    401: {"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
    503: {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
}
_DONE = {200: "Done.", 201: "Made.", 202: "Accepted.", 204: "Done; there is nothing to tell."}
_STREAM = 'id: 7\nevent: step.succeeded\ndata: {"seq": 7, "type": "step.succeeded", "step_id": "find_large", ...}\n\n'


class Document:
    """The document of an app, made when it is first asked for: that takes a second, beside other requests."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._lock = asyncio.Lock()
        self._text = b""

    async def text(self) -> bytes:
        async with self._lock:
            if not self._text:
                self._text = await asyncio.to_thread(lambda: json.dumps(document_of(self._app)).encode())
            return self._text


def documented_routes(app: FastAPI) -> set[tuple[str, str]]:
    """Every method and path that the app answers."""
    told = {
        (method.upper(), path)
        for path, operations in document_of(app)["paths"].items()
        for method in operations
    }
    hidden = {("GET", route.path) for route in app.routes if isinstance(route, Route)}
    return told | hidden


def document_of(app: FastAPI) -> JsonObject:
    table = Table()
    found = get_openapi(title="Holdfast", version="1", description=_ABOUT, routes=app.routes)
    components = found.setdefault("components", {})
    for model in (Problem, RunEvent, ModelDelta):
        _add(model, components["schemas"])
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    components["responses"] = {}
    found["tags"] = [{"name": name, "description": words} for name, words in _TAGS.items()]
    for path, operations in found["paths"].items():
        edited = any(_asks(operation, "if-match") for operation in operations.values())
        for method, operation in operations.items():
            rule = table.find(method.upper(), path)
            if rule is not None:
                _declare(operation, rule, components, edited=edited)
    return found


def _declare(operation: JsonObject, rule: Rule, components: JsonObject, *, edited: bool) -> None:
    """What the layers around every route add to it."""
    if not rule.open:
        operation["security"] = [{"bearer": []}]
        operation["x-permission"] = rule.permission.value if rule.permission else "any"
        answers = operation["responses"]
        answers.update({str(status): answer for status, answer in documented(*_by_layers(rule)).items()})
    if rule.method == "POST":
        operation.setdefault("parameters", []).append(_KEY)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["example"] = _body(content["schema"], components["schemas"])
    for status, answer in sorted(operation["responses"].items()):
        if answer.get("description") == "Successful Response":
            answer["description"] = _DONE[int(status)]
        if MEDIA_TYPE not in answer.get("content", {}):
            _illustrate(answer, rule, components["schemas"], tagged=edited and rule.method != "DELETE")
        else:
            operation["responses"][status] = _shared(int(status), components["responses"])
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _by_layers(rule: Rule) -> tuple[int, ...]:
    """The refusals that come before a route is asked, or after it was asked before."""
    return (*(LAYERS if rule.method != "GET" else ()), *((409,) if rule.method == "POST" else ()))


def _body(schema: JsonObject, schemas: JsonObject) -> Any:
    return BODIES.get(schema.get("$ref", "").rpartition("/")[2]) or example_of(schema, schemas)


def _illustrate(answer: JsonObject, rule: Rule, schemas: JsonObject, *, tagged: bool) -> None:
    headers = answer.setdefault("headers", {})
    headers["X-Request-Id"] = {"description": "Names this request in the log.", "schema": {"type": "string"}}
    if rule.method == "POST":
        headers["Location"] = _LOCATION
        headers["Idempotency-Replayed"] = _ANSWERED_AGAIN
    if tagged:
        headers["ETag"] = {"description": "For `If-Match` of the next write.", "schema": {"type": "string"}}
    for kind, content in answer.get("content", {}).items():
        if kind == "text/event-stream":
            content["example"] = _STREAM
        elif kind == "application/json" and "schema" in content:
            content["example"] = example_of(content["schema"], schemas)


def _shared(status: int, responses: JsonObject) -> JsonObject:
    """One description of each error for all operations."""
    phrase = HTTPStatus(status).phrase
    name = f"Problem{status}"
    if name not in responses:
        shown = example(status).model_dump(mode="json", exclude_none=True)
        content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": shown}
        responses[name] = {"description": phrase, "content": {MEDIA_TYPE: content}}
        if status in _HEADERS:
            responses[name]["headers"] = _HEADERS[status]
    return {"$ref": f"#/components/responses/{name}"}


def _asks(operation: JsonObject, header: str) -> bool:
    return any(parameter["name"].lower() == header for parameter in operation.get("parameters", ()))


def _add(model: type[Any], schemas: JsonObject) -> None:
    """A schema that no route names, with its definitions where OpenAPI keeps them."""
    schema = TypeAdapter(model).json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
