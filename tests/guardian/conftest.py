"""What tests of the guardian share: facts by hand, policies in short, and a tenant of one's own in Postgres."""

import hashlib
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from holdfast.adapters.postgres.brakes import PostgresBrakes
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.policy_records import PostgresPolicyRecords
from holdfast.guardian.desk import PolicyDesk
from schemas.policies import PolicyDocument

DocumentMaker = Callable[..., PolicyDocument]


@pytest.fixture
def store(module_database: Database) -> PostgresPolicies:
    return PostgresPolicies(database=module_database)


@pytest.fixture
def brakes(module_database: Database) -> PostgresBrakes:
    return PostgresBrakes(database=module_database)


@pytest.fixture
def desk(module_database: Database, store: PostgresPolicies) -> PolicyDesk:
    return PolicyDesk(policies=store, records=PostgresPolicyRecords(database=module_database))


@pytest.fixture
async def tenant(module_database_url: str, request: pytest.FixtureRequest) -> str:
    """A tenant of its own for each test, so that they can share a database."""
    name = "t" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    async with await psycopg.AsyncConnection.connect(module_database_url, autocommit=True) as connection:
        await connection.execute("select set_config('holdfast.tenant', %s, false)", (name,))
        await connection.execute("insert into holdfast.tenants (tenant) values (%s)", (name,))
    return name


@pytest.fixture
def document() -> DocumentMaker:
    """A policy that matches `ls` and leaves `df` alone, unless a test says otherwise."""

    def make(**changes: Any) -> PolicyDocument:
        fields: dict[str, Any] = {
            "name": "no-listing",
            "effect": "deny",
            "when": "'ls' in facts.binaries",
            "message": "lists files",
            "examples": {
                "match": [{"arguments": {"command": "ls"}}],
                "not_match": [{"arguments": {"command": "df -h"}}],
            },
        }
        given = {name: value for name, value in (fields | changes).items() if value is not None}
        return PolicyDocument.model_validate(given)

    return make
