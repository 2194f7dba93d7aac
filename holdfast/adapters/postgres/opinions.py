"""What models thought of actions, as rows: the guardian reads here what the llm worker wrote."""

from typing import LiteralString

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from schemas.actions import Action
from schemas.base import Digest
from schemas.verdicts import Opinion

_RECENT: LiteralString = "created_at > clock_timestamp() - interval '24 hours'"


class PostgresOpinions:
    """Fulfils `holdfast.guardian.judge.OpinionBook`. An opinion holds for a day: models and prompts change."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def find(self, tenant: str, question: Digest, *, unusable: bool = False) -> Opinion | None:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"select opinion from judge_opinions where question = %s and (usable or %s) and {_RECENT}",  # noqa: S608 - a constant
                (question, unusable),
            )
            row = await cursor.fetchone()
        return Opinion.model_validate(row["opinion"]) if row else None

    async def keep(self, action: Action, question: Digest, opinion: Opinion) -> None:
        """A usable answer that stands is not overwritten by one that is not. What no verdict will read again goes; each
        verdict holds the opinion it was based on."""
        async with self._database.tenant(action.tenant) as connection:
            await connection.execute(
                """insert into judge_opinions as o (tenant, question, run_id, step_id, usable, opinion)
                   values (%s, %s, %s, %s, %s, %s)
                   on conflict (tenant, question) do update set
                     run_id = excluded.run_id, step_id = excluded.step_id, usable = excluded.usable,
                     opinion = excluded.opinion, created_at = clock_timestamp()
                   where excluded.usable or not o.usable
                      or o.created_at < clock_timestamp() - interval '24 hours'""",
                (
                    action.tenant,
                    question,
                    action.run_id,
                    action.step_id,
                    opinion.usable,
                    Jsonb(opinion.model_dump(mode="json")),
                ),
            )
            await connection.execute(
                "delete from judge_opinions where created_at < clock_timestamp() - interval '7 days'"
            )
