"""How large a library is, and how far its models are."""

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.knowledge_vectors import ASKED
from schemas.knowledge import LibraryModel, LibraryState


async def state_of(connection: Connection) -> LibraryState:
    cursor = await connection.execute(
        """select count(*) as documents, coalesce(sum(d.chunks), 0) as chunks,
             count(*) filter (where d.kind = 'runbook' and not v.content ? %s) as unasked
           from knowledge_documents d
           join knowledge_versions v on v.document = d.key and v.version = d.version
           where d.deleted_at is null""",
        (ASKED,),
    )
    row = await cursor.fetchone()
    cursor = await connection.execute(
        """select m.model, m.dimensions, m.state, (
             select count(*) from knowledge_vectors x where x.model = m.model and x.position = -1) as documents
           from knowledge_models m order by m.created_at, m.model"""
    )
    models = tuple(LibraryModel.model_validate(each) for each in await cursor.fetchall())
    return LibraryState(**(row or {}), models=models)
