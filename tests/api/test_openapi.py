"""The OpenAPI document tells the truth: whatever is sent, the answer is one that it names, and never a 5xx."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import schemathesis
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

from holdfast.runtime.settings import AuthSettings
from tests.api.conftest import RunningApi, reaching, serve

EXAMPLES, EXAMPLES_IN_FULL = 1, 50
"""Requests of each kind to each operation: in every test run, and with `make fuzz`."""
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
async def api(module_database_url: str, temporal_address: str) -> AsyncIterator[RunningApi]:
    auth = AuthSettings(reads_per_s=1e6, writes_per_s=1e6)
    async with serve(module_database_url, reaching(temporal_address), auth=auth) as running:
        yield running


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
