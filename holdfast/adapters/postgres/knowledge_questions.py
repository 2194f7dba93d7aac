"""Questions a model thought of: kept with the version they belong to, by passage, so that an edit keeps the others."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.knowledge_vectors import ASKED
from holdfast.knowledge.reading import Reading

Asked = Mapping[str, Mapping[str, Sequence[str]]]
"""By document id, then by the digest of a passage."""


async def asked_before(connection: Connection, ids: Sequence[str]) -> Asked:
    """What was thought of for these documents last, be it for an earlier version."""
    cursor = await connection.execute(
        """select d.id, v.content->%s as asked from knowledge_documents d
           cross join lateral (
             select content from knowledge_versions v where v.document = d.key and v.content ? %s
             order by v.version desc limit 1) v
           where d.tenant = current_tenant() and d.id = any(%s)""",
        (ASKED, ASKED, list(ids)),
    )
    return {row["id"]: row["asked"] for row in await cursor.fetchall()}


def questions_of(reading: Reading, asked: Asked) -> tuple[str, ...]:
    known = asked.get(reading.document.id, {})
    return tuple(question for chunk in reading.chunks for question in known.get(chunk.digest, ()))


async def keep_asked(
    connection: Connection, key: int, digest: str, asked: Mapping[str, Sequence[str]]
) -> None:
    """Beside the version that was read; nothing, where another one stands by now."""
    await connection.execute(
        """update knowledge_versions v set content = v.content || jsonb_build_object(%s::text, %s::jsonb)
           from knowledge_documents d
           where d.key = %s and d.digest = %s and v.document = d.key and v.version = d.version""",
        (ASKED, Jsonb({name: list(each) for name, each in asked.items()}), key, digest),
    )


async def never_asked(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """Runbooks about whose passages no model has been asked, as rows that can be read again; and how many there are."""
    cursor = await connection.execute(
        """select d.key, d.id, d.digest, d.length, v.content, count(*) over () as waiting
           from knowledge_documents d join knowledge_versions v on v.document = d.key and v.version = d.version
           where d.kind = 'runbook' and d.deleted_at is null and not v.content ? %s
           order by d.key limit %s""",
        (ASKED, limit),
    )
    return await cursor.fetchall()
