"""What a library needs as it grows: how common its common words are, and a graph over its vectors."""

from datetime import timedelta

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.knowledge_query import COUNTED
from holdfast.adapters.postgres.knowledge_statements import GROWTH

EXACT = 10_000
"""Up to so many documents and chunks of a tenant, exact search is as quick as a graph, and misses nothing."""

_PATIENCE = timedelta(days=3)
"""A job that is not done by then is not waited for."""


async def keep_pace(connection: Connection, tenant: str, *, model: str | None, dimensions: int) -> None:
    """Cheap where nothing has to be done; called after every batch. While documents of a job wait, no graph is begun: it keeps
    them out until it stands, and slows them down from then on.
    """
    cursor = await connection.execute(
        """select documents, chunks, weighed, exists (
             select from knowledge_staged s where s.tenant = t.tenant and s.outcome is null and s.at > now() - %s
           ) as more from knowledge_totals t where tenant = %s""",
        (_PATIENCE, tenant),
    )
    row = await cursor.fetchone()
    if row is None:
        return
    if row["documents"] > COUNTED and row["documents"] > GROWTH * row["weighed"]:
        await _count_common_words(connection, tenant)
    if model is not None and row["documents"] + row["chunks"] > EXACT and not row["more"]:
        await connection.execute("select index_vectors(%s, %s)", (model, dimensions))


async def _count_common_words(connection: Connection, tenant: str) -> None:
    cursor = await connection.execute(
        "select pg_try_advisory_xact_lock(hashtextextended('common words ' || %s, 0)) as mine", (tenant,)
    )
    row = await cursor.fetchone()
    if row is None or not row["mine"]:
        return
    await connection.execute("delete from knowledge_common where tenant = %s", (tenant,))
    await connection.execute(
        """insert into knowledge_common (tenant, term, documents)
           select %(tenant)s, term, count(*) from knowledge_postings where tenant = %(tenant)s
           group by term having count(*) >= %(counted)s""",
        {"tenant": tenant, "counted": COUNTED},
    )
    await connection.execute("update knowledge_totals set weighed = documents where tenant = %s", (tenant,))


async def recount(connection: Connection, tenant: str) -> None:
    """The totals from the documents themselves: two writers of one new document may both have counted it."""
    await connection.execute(
        """update knowledge_totals t set documents = d.documents, chunks = d.chunks, length = d.length
           from (select count(*) as documents, coalesce(sum(chunks), 0) as chunks, coalesce(sum(length), 0) as length
                 from knowledge_documents where deleted_at is null) d
           where t.tenant = %s""",
        (tenant,),
    )
