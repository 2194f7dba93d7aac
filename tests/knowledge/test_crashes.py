"""Kill -9 in the middle of an ingestion and of a move to another model: nothing lost, doubled or found by halves."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from schemas.knowledge import DocumentDraft, SearchRequest
from tests.knowledge.victim import JOB, TENANT, HashedWords

_ROOT = Path(__file__).parents[2]
_DOCUMENTS = 80
_WHOLE = """
select count(*) as documents, count(*) filter (where d.version = 1) as first_versions,
  count(*) filter (where (select count(*) from knowledge_versions v where v.document = d.key) = 1) as once,
  count(*) filter (where (select count(*) from knowledge_chunks c where c.document = d.key) = d.chunks) as chunked,
  count(*) filter (where exists (select from knowledge_postings p where p.document = d.key)) as worded,
  count(*) filter (where (
    select count(*) from knowledge_vectors v where v.document = d.key and v.model = %(model)s and v.position >= -1
  ) = d.chunks + 1) as placed,
  (select t.documents from knowledge_totals t) as counted,
  (select sum(t.chunks) from knowledge_totals t) - sum(d.chunks) as miscounted
from knowledge_documents d where d.deleted_at is null
"""


def _drafts() -> list[DocumentDraft]:
    return [
        DocumentDraft(
            id=f"d{at}",
            text=f"# Book {at}\n\nHost h{at} stops.\n\n## More\n\nWord{at} is here.\n\n## End\n\nBye.\n",
        )
        for at in range(_DOCUMENTS)
    ]


async def _victim(url: str, what: str, model: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.knowledge.victim", url, what, model,
        cwd=_ROOT, stdout=asyncio.subprocess.PIPE, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip


async def _killed_then_finished(url: str, what: str, model: str, *, kills: int) -> None:
    """Each victim dies at some moment of its second or third page; the last one is let live."""
    dice = random.Random(what)  # noqa: S311 -- when to kill is no secret
    for _ in range(kills):
        victim = await _victim(url, what, model)
        assert victim.stdout is not None
        for _ in range(dice.choice([2, 3])):
            assert await victim.stdout.readline()
        await asyncio.sleep(dice.random() * 0.03)  # where in a page it dies is left to chance
        victim.send_signal(signal.SIGKILL)
        assert await victim.wait() == -signal.SIGKILL
    last = await _victim(url, what, model)
    await last.communicate()
    assert last.returncode == 0


async def _state(database: Database, model: str) -> dict[str, int]:
    async with database.tenant(TENANT) as connection:
        cursor = await connection.execute(_WHOLE, {"model": model})
        row = await cursor.fetchone()
    assert row is not None
    return row


async def test_killed_ingestions_and_moves_lose_double_and_halve_nothing(
    database: Database, database_url: str
) -> None:
    await PostgresLibrary(database=database).jobs.stage(TENANT, JOB, _drafts())
    await _killed_then_finished(database_url, "ingest", "old", kills=2)
    whole = dict.fromkeys(
        ("documents", "first_versions", "once", "chunked", "worded", "placed", "counted"), _DOCUMENTS
    )
    assert await _state(database, "old") == {**whole, "miscounted": 0}
    library = PostgresLibrary(database=database, embedder=HashedWords("new"), before=HashedWords("old"))
    moving = asyncio.create_task(_killed_then_finished(database_url, "embed", "new", kills=2))
    models = set()
    while not moving.done():
        found = await library.search(TENANT, SearchRequest(query="word17 host h17 stops", limit=1))
        assert found.hits[0].document.id == "d17"
        models.add(found.model)
        await asyncio.sleep(0.1)
    await moving
    assert models <= {"old", "new"}
    assert (await library.search(TENANT, SearchRequest(query="word17"))).model == "new"
    assert await _state(database, "new") == {**whole, "miscounted": 0}
    async with database.tenant(TENANT) as connection:
        cursor = await connection.execute("select distinct model from knowledge_vectors")
        assert [row["model"] for row in await cursor.fetchall()] == ["new"]
