"""`sql.query`: one statement that reads, on a database that the tool's permissions name."""

from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import Field

from holdfast.sandbox.port import SecretSource
from holdfast.tools.builtin.secrets import permitted
from holdfast.tools.declare import Tool, ToolContext, declared
from schemas.base import Name, Payload, Request
from schemas.tools import EffectClass, ToolExample


class Statement(Request):
    database: Name = Field(description="The name of the secret that holds the database's URL.")
    query: str = Field(
        min_length=1, max_length=20_000, description="One statement, with `%s` for parameters."
    )
    parameters: tuple[str | float | bool | None, ...] = Field(default=(), max_length=100)
    limit: int = Field(default=200, ge=1, le=5000, description="How many rows at most.")
    timeout_s: float = Field(default=30, gt=0, le=100)


class Table(Payload):
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool = False

    def told(self) -> str:
        return f"{len(self.rows)} rows of {', '.join(self.columns)}"[:300]


class Queries(Protocol):
    async def read(self, url: str, statement: Statement) -> Table:
        """Run it in a transaction that cannot write."""
        ...


def sql_tools(queries: Queries, secrets: SecretSource) -> Sequence[Tool]:
    @declared(
        "sql.query",
        version="1.0.2",
        effect=EffectClass.READ_ONLY,
        payload="sql",
        timeout_s=120,
        risk="medium",
        examples=(
            ToolExample(
                title="Long transactions",
                arguments={
                    "database": "orders",
                    "query": "select pid, state from pg_stat_activity where xact_start < now() - interval '5 min'",
                },
                needs="a manifest over it that names the secret orders, and that secret",
            ),
        ),
    )
    async def query(arguments: Statement, context: ToolContext) -> Table:
        """Runs one reading SQL statement on a Postgres database, in a read-only transaction, and returns its rows."""
        url = await permitted(secrets, arguments.database, context)
        return await queries.read(url, arguments)

    return (query,)
