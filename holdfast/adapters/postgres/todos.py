"""The lists of things to do, one for each run."""

from collections.abc import Sequence
from typing import Any

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.errors import LimitReached, NotFound
from holdfast.tools.builtin.todo import Todo

_MOST = 500


class PostgresTodos:
    """Fulfils `holdfast.tools.builtin.todo.Todos`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def add(self, tenant: str, run_id: str, texts: Sequence[str], *, key: str) -> Sequence[Todo]:
        """Entries of one key are added once; calls of one run that add at the same time wait for each other."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"todo {run_id}",)
            )
            cursor = await connection.execute(
                "select count(*) as known, bool_or(key = %s) as repeated from todos where run_id = %s",
                (key, run_id),
            )
            row = await cursor.fetchone() or {"known": 0, "repeated": False}
            if not row["repeated"]:
                await _insert(connection, tenant, run_id, texts, key, known=row["known"])
            return await _all(connection, run_id)

    async def change(self, tenant: str, run_id: str, todo: Todo) -> Todo:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """update todos set state = %s, note = case when %s = '' then note else %s end, changed_at = clock_timestamp()
                   where run_id = %s and 't' || position = %s returning position, text, state, note""",
                (todo.state, todo.note, todo.note, run_id, todo.id),
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(
                f"There is no entry {todo.id} in this run's list.", remedy="todo.list shows the entries."
            )
        return _todo(row)

    async def all(self, tenant: str, run_id: str) -> Sequence[Todo]:
        async with self._database.tenant(tenant) as connection:
            return await _all(connection, run_id)


async def _insert(
    connection: Connection, tenant: str, run_id: str, texts: Sequence[str], key: str, *, known: int
) -> None:
    if known + len(texts) > _MOST:
        raise LimitReached(
            f"The list of a run holds {_MOST} entries.", remedy="Work some of them off, or drop the rest."
        )
    rows = [(tenant, run_id, known + number, key, text) for number, text in enumerate(texts, 1)]
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "insert into todos (tenant, run_id, position, key, text) values (%s, %s, %s, %s, %s)", rows
        )


async def _all(connection: Connection, run_id: str) -> Sequence[Todo]:
    cursor = await connection.execute(
        "select position, text, state, note from todos where run_id = %s order by position", (run_id,)
    )
    return [_todo(row) for row in await cursor.fetchall()]


def _todo(row: dict[str, Any]) -> Todo:
    return Todo(id=f"t{row['position']}", text=row["text"], state=row["state"], note=row["note"])
