"""Every contract's JSON Schema is committed, so that a change of a contract shows in review.

`pytest tests/contracts --write-contracts` writes the snapshot anew.
"""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import schemas.base

SNAPSHOT = Path(__file__).with_name("snapshot.json")


def contracts() -> dict[str, Any]:
    """The JSON Schema of every model, and the values of every closed set, by module and name."""
    return {name: _described(found) for name, found in sorted(_found())}


def _found() -> Iterator[tuple[str, type]]:
    for module_info in pkgutil.walk_packages(schemas.__path__, "schemas."):
        module = importlib.import_module(module_info.name)
        for name, found in inspect.getmembers(module, inspect.isclass):
            if found.__module__ == module.__name__ and issubclass(found, BaseModel | Enum):
                yield f"{module.__name__.removeprefix('schemas.')}.{name}", found


def _described(found: type) -> Any:
    """A model without the models inside it: those stand in the snapshot on their own, and change once."""
    if issubclass(found, Enum):
        return {"enum": [member.value for member in found]}
    assert issubclass(found, BaseModel)
    schema = found.model_json_schema(mode="validation")
    inside = schema.pop("$defs", {})
    return {**inside[found.__name__]} if "$ref" in schema else schema


def test_every_contract_is_as_it_was_reviewed(request: pytest.FixtureRequest) -> None:
    now = json.dumps(contracts(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if request.config.getoption("write_contracts"):
        SNAPSHOT.write_text(now)
    before, after = json.loads(SNAPSHOT.read_text()), json.loads(now)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    assert not changed, f"contracts changed: {', '.join(changed)}. If that is meant: make contracts"


def test_payloads_are_frozen() -> None:
    wrong = [
        name
        for name, found in _found()
        if issubclass(found, schemas.base.Payload) and not found.model_config.get("frozen")
    ]
    assert not wrong


def test_requests_refuse_what_they_do_not_know() -> None:
    wrong = [
        name
        for name, found in _found()
        if issubclass(found, schemas.base.Request) and found.model_config.get("extra") != "forbid"
    ]
    assert not wrong
