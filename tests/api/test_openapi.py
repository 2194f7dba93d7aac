"""The OpenAPI document tells the truth: whatever is sent, the answer is one that it names, and never a 5xx."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import schemathesis
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import ROUTERS, create_app
from api.openapi import document_of
from holdfast.runtime.settings import AuthSettings, Settings
from tests.api.conftest import RunningApi, reaching, serve, temporal_is_away

EXAMPLES, EXAMPLES_IN_FULL = 1, 50
"""Requests of each kind to each operation: in every test run, and with `make fuzz`."""
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
async def api(module_database_url: str, temporal_address: str) -> AsyncIterator[RunningApi]:
    auth = AuthSettings(reads_per_s=1e6, writes_per_s=1e6)
    async with serve(module_database_url, reaching(temporal_address), auth=auth) as running:
        yield running


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return document_of(create_app(Settings(), connect=temporal_is_away))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_everything_is_described(document: dict[str, Any]) -> None:
    for named, operation in operations(document):
        assert operation["description"], named
        assert {tag["name"] for tag in document["tags"]} >= set(operation["tags"]), named
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], (named, parameter["name"])
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_every_answer_and_every_error_has_an_example(document: dict[str, Any]) -> None:
    for named, operation in operations(document):
        for status, answer in operation["responses"].items():
            if "$ref" in answer:
                answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]  # noqa: PLW2901
            for kind, content in answer.get("content", {}).items():
                assert "example" in content or kind.endswith(("octet-stream", "plain", "x-ndjson")), (
                    named,
                    status,
                )


def test_every_example_of_a_body_is_one_the_route_would_read(document: dict[str, Any]) -> None:
    for route in (route for router in ROUTERS for route in router.routes):
        if isinstance(route, APIRoute) and route.body_field is not None:
            method = next(iter(route.methods or ()))
            operation = document["paths"][route.path][method.lower()]
            (content,) = operation["requestBody"]["content"].values()
            _, errors = route.body_field.validate(content["example"], loc=("body",))
            assert not errors, f"{route.path} needs an example in api/examples.py: {errors}"


def test_refusals_of_the_layers_are_told_of_every_route(document: dict[str, Any]) -> None:
    for named, operation in operations(document):
        if "security" in operation:
            assert {"400", "401", "403", "422", "429", "500", "503"} <= set(operation["responses"]), named
            if named.startswith("POST"):
                assert {"408", "409", "413", "415"} <= set(operation["responses"]), named


@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_every_operation_answers_as_its_document_says(
    api: RunningApi, mode: GenerationMode, *, full: bool
) -> None:
    async with api.stranger() as http:
        document = (await http.get("/openapi.json")).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=api.url)
    examples = EXAMPLES_IN_FULL if full else EXAMPLES
    failures = await asyncio.to_thread(_try_all, schema, api.key, mode, examples)
    assert not failures, "\n\n".join(failures[:20])


def _try_all(schema: BaseSchema, key: str, mode: GenerationMode, examples: int) -> list[str]:
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    return [said for operation in operations if (said := _try(operation, key, mode, examples))]


def _hasten(case: Case[Any], mode: GenerationMode) -> None:
    """A stream would only end when its reader loses patience, and no worker ends the run that is waited for."""
    if case.path.endswith("/events") and case.method == "GET":
        case.query = {**case.query, "follow": "false"}
    if mode is GenerationMode.POSITIVE and "wait" in case.query:
        case.query = {**case.query, "wait": 0.1}


def _try(operation: APIOperation[Any, Any, Any, Any], key: str, mode: GenerationMode, examples: int) -> str:
    """What went wrong with this operation; nothing, if nothing did."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def attempt(case: Case[Any]) -> None:
        _hasten(case, mode)
        response = case.call(headers={"Authorization": f"Bearer {key}"}, timeout=20)
        assert response.status_code < 500, response.text
        case.validate_response(response, checks=CHECKS)

    try:
        attempt()
    except Unsatisfiable:
        return ""  # nothing can be wrong with a request that has no parts
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - collected, to be told together
        return f"{operation.label}: {error} {getattr(error, 'exceptions', '')}"
    return ""
