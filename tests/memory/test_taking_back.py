"""Items and all memory as they were before: edited, rolled back, restored, forgotten, exported and brought in again."""

from datetime import UTC, datetime

import pytest
from psycopg import AsyncConnection
from structlog.testing import capture_logs

from holdfast.adapters.embedding.openai_compatible import OpenAICompatible
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.adapters.postgres.memory_upkeep import MemoryUpkeep
from holdfast.errors import Conflict, NotFound
from holdfast.ids import new_id
from schemas.base import JsonObject
from schemas.memory import (
    Cues,
    MemoryContent,
    MemoryDraft,
    MemoryKind,
    MemoryStatus,
    Provenance,
    Signature,
)
from schemas.stages import RecallRequest
from tests.knowledge.test_embedding import Endpoint
from tests.knowledge.test_embedding import endpoint as endpoint  # noqa: PLC0414 -- the same server
from tests.memory.taught import ended, scope_of

TENANT = "default"


@pytest.fixture
def memory(database: Database) -> PostgresMemory:
    return PostgresMemory(database=database, new_lessons=MemoryStatus.ACTIVE)


async def test_an_edit_keeps_the_old_version_and_a_rollback_brings_it_back(memory: PostgresMemory) -> None:
    item = await memory.add(TENANT, MemoryDraft(text="one"), author="ann")
    await memory.edit(TENANT, item.id, {"text": "two"}, author="bo", reason="better")
    back = await memory.rollback(TENANT, item.id, 1, author="ann")
    assert (back.version, back.content.text) == (3, "one")
    assert [each.content.text for each in await memory.versions(TENANT, item.id)] == ["one", "two", "one"]


async def test_an_edit_of_a_stale_version_is_refused(memory: PostgresMemory) -> None:
    item = await memory.add(TENANT, MemoryDraft(text="one"), author="ann")
    await memory.edit(TENANT, item.id, {"text": "two"}, author="bo", reason="better")
    with pytest.raises(Conflict):
        await memory.edit(TENANT, item.id, {"text": "three"}, author="ann", reason="late", version=1)


async def test_all_memory_goes_back_to_a_snapshot(memory: PostgresMemory) -> None:
    kept = await memory.add(TENANT, MemoryDraft(text="kept"), author="ann")
    await memory.snapshot(TENANT, "before")
    await memory.edit(TENANT, kept.id, {"text": "spoilt"}, author="eve", reason="x")
    await memory.learn(ended("Restart the web service"))
    assert await memory.restore(TENANT, "before", author="ann") == 3
    assert (await memory.read(TENANT, kept.id)).content.text == "kept"
    active = await memory.items(TENANT, status=MemoryStatus.ACTIVE)
    assert [item.id for item in active] == [kept.id]


async def test_to_forget_deletes_the_words_and_all_that_came_of_them(
    memory: PostgresMemory, database: Database
) -> None:
    request = ended("Restart the hidden thing")
    learned = await memory.learn(request)
    assert set(await memory.forget_run(TENANT, request.scope.run_id, author="ann")) == set(learned.items)
    async with database.tenant(TENANT) as connection:
        cursor = await connection.execute(
            "select count(*) as n from memory_versions where content::text like '%%hidden%%'"
        )
        row = await cursor.fetchone()
    assert row == {"n": 0}
    with pytest.raises(Conflict):
        await memory.edit(TENANT, learned.items[0], {"text": "back"}, author="ann", reason="x")


async def test_an_export_can_be_imported_without_doubling(memory: PostgresMemory) -> None:
    await memory.add(TENANT, MemoryDraft(text="one", signature=Signature(tool="t")), author="ann")
    for server in ("nginx", "caddy"):  # the second supersedes the first
        data: JsonObject = {"subject": "web-1", "attribute": "server"}
        await memory.add(TENANT, MemoryDraft(text=f"web-1 runs {server}", data=data), author="ann")
    exported = await memory.export(TENANT)
    assert await memory.import_items(TENANT, exported, author="bo") == 3
    states = [item.content.status for item in await memory.export(TENANT)]
    assert states == [MemoryStatus.ACTIVE, MemoryStatus.SUPERSEDED, MemoryStatus.ACTIVE]


@pytest.mark.parametrize(("status", "dimensions"), [(200, 3), (500, 4)])
async def test_what_comes_in_stands_and_is_found_by_words_while_its_endpoint_answers_amiss(
    memory: PostgresMemory,
    database: Database,
    endpoint: tuple[Endpoint, OpenAICompatible],
    status: int,
    dimensions: int,
) -> None:
    told, embedder = endpoint
    for text in ("The quorum is three", "Deploys wait for noon"):
        await memory.add(TENANT, MemoryDraft(text=text), author="ann")
    exported = await memory.export(TENANT)
    async with database.tenant(TENANT) as connection:
        await connection.execute("delete from memory_items")
    told.status, told.dimensions = status, dimensions
    fed = PostgresMemory(database=database, embedder=embedder)
    with capture_logs() as logged:
        assert await fed.import_items(TENANT, exported, author="bo") == 2
    assert [line["event"] for line in logged] == ["embedding_put_off"]
    hits = await fed.search(TENANT, Cues(text="the quorum is three"))
    assert [hit.item.content.text for hit in hits] == ["The quorum is three"]
    told.status, told.dimensions = 200, 4
    assert await MemoryUpkeep(database=database, memory=fed).embed() == 2


async def test_an_export_taken_into_an_empty_tenant_is_the_same_export_again(
    memory: PostgresMemory, database: Database, database_url: str
) -> None:
    source = await memory.add(TENANT, MemoryDraft(text="Deploys wait for noon"), author="ann")
    scope = scope_of()
    await memory.recall(RecallRequest(scope=scope, goal="deploys wait for noon"))
    where = Provenance(author="ann", run_id=scope.run_id)
    told = MemoryContent(kind=MemoryKind.FACT, status=MemoryStatus.ACTIVE, text="At noon Bo deploys")
    await memory.put(TENANT, told, where)
    exported = await memory.export(TENANT)
    async with await AsyncConnection.connect(database_url, autocommit=True) as owner:
        await owner.execute("insert into holdfast.tenants (tenant) values ('elsewhere')")
    assert await memory.import_items("elsewhere", exported, author="bo") == len(exported)
    moved = await memory.export("elsewhere")
    # One database holds both tenants here, so the ids are taken; what was derived is traced by the new ones.
    ids = {item.content.text: item.id for item in moved}
    assert (await memory.trace("elsewhere", ids[source.content.text])).derived == (ids[told.text],)
    await memory.import_items("elsewhere", moved, author="bo")
    assert await memory.export("elsewhere") == moved
    async with database.tenant(TENANT) as connection:
        await connection.execute("delete from memory_items")
    await memory.import_items(TENANT, exported, author="bo")
    assert await memory.export(TENANT) == exported


async def test_what_expired_is_retired_and_what_is_pinned_stays(memory: PostgresMemory) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    old = await memory.add(TENANT, MemoryDraft(text="old", expires_at=past), author="ann")
    pinned = await memory.add(TENANT, MemoryDraft(text="pinned", expires_at=past, pinned=True), author="ann")
    assert await memory.expire(TENANT, idle_days=30, author="holdfast") == 1
    assert (await memory.read(TENANT, old.id)).content.status is MemoryStatus.RETIRED
    assert (await memory.read(TENANT, pinned.id)).content.status is MemoryStatus.ACTIVE


async def test_what_is_not_there_is_said_so(memory: PostgresMemory) -> None:
    with pytest.raises(NotFound):
        await memory.read(TENANT, new_id("mem"))
