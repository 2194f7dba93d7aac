"""Of two items that contradict each other one stands, by whatever road the other came."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.errors import Conflict, InvalidInput
from holdfast.ids import new_id
from schemas.memory import (
    Cues,
    MemoryContent,
    MemoryDraft,
    MemoryItem,
    MemoryKind,
    MemoryStatus,
    Provenance,
    Signature,
    Trust,
)
from schemas.stages import RecallRequest, RunScope

TENANT = "default"
KIM, SAM = "Kim is on call for billing", "Sam is on call for billing"
ON_CALL = {"subject": "billing", "attribute": "on call"}


@pytest.fixture
def memory(database: Database) -> PostgresMemory:
    return PostgresMemory(database=database)


async def _told(memory: PostgresMemory, text: str, **more: object) -> MemoryItem:
    draft = MemoryDraft.model_validate({"text": text, "data": ON_CALL, **more})
    return await memory.add(TENANT, draft, author="ann")


async def _status(memory: PostgresMemory, item: MemoryItem) -> MemoryStatus:
    return (await memory.read(TENANT, item.id)).content.status


async def _known(memory: PostgresMemory) -> list[str]:
    hits = await memory.search(TENANT, Cues(text="who is on call for billing"))
    return [hit.item.content.text for hit in hits]


def _lesson(text: str, status: MemoryStatus, trust: Trust) -> MemoryContent:
    return MemoryContent(
        kind=MemoryKind.LESSON,
        status=status,
        text=text,
        signature=Signature(goal_kind="restart", tool="service.restart", error="busy"),
        trust=trust,
    )


async def test_a_proposal_that_is_confirmed_supersedes_what_it_contradicts(memory: PostgresMemory) -> None:
    old = await memory.put(
        TENANT, _lesson("Wait.", MemoryStatus.ACTIVE, Trust.TOOL), Provenance(author="ann")
    )
    new = await memory.put(
        TENANT, _lesson("Drain.", MemoryStatus.PROPOSED, Trust.TOOL), Provenance(author="ann")
    )
    assert await _status(memory, old) is MemoryStatus.ACTIVE
    await memory.confirm(TENANT, new.id, author="bob")
    superseded = await memory.read(TENANT, old.id)
    assert (superseded.content.status, superseded.content.superseded_by) == (MemoryStatus.SUPERSEDED, new.id)


async def test_a_rollback_of_what_was_superseded_supersedes_in_turn(memory: PostgresMemory) -> None:
    kim, sam = await _told(memory, KIM), await _told(memory, SAM)
    await memory.rollback(TENANT, kim.id, 1, author="bob")
    assert await _status(memory, sam) is MemoryStatus.SUPERSEDED
    assert await _known(memory) == [KIM]


async def test_an_edit_into_what_another_item_says_is_refused(memory: PostgresMemory) -> None:
    first = await _told(memory, KIM, data={})
    second = await _told(memory, "Sam is", data={})
    with pytest.raises(Conflict, match=first.id):
        await memory.edit(TENANT, second.id, {"text": KIM}, author="bob", reason="x")


async def test_a_fact_of_tomorrow_leaves_the_one_of_today_until_then(memory: PostgresMemory) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    kim = await _told(memory, KIM)
    await _told(memory, SAM, valid_from=tomorrow)
    assert await _known(memory) == [KIM]
    assert (await memory.read(TENANT, kim.id)).content.valid_to == tomorrow


async def test_facts_of_different_times_stand_beside_each_other(memory: PostgresMemory) -> None:
    now = datetime.now(UTC)
    kim = await _told(memory, KIM, valid_to=now - timedelta(days=1))
    sam = await _told(memory, SAM, valid_from=now - timedelta(days=1))
    assert {await _status(memory, each) for each in (kim, sam)} == {MemoryStatus.ACTIVE}
    assert await _known(memory) == [SAM]


async def test_a_fact_that_had_ended_is_so_again_when_it_is_told_again(memory: PostgresMemory) -> None:
    await _told(memory, KIM, valid_to=datetime.now(UTC) - timedelta(days=1))
    assert await _known(memory) == []
    await _told(memory, KIM)
    assert await _known(memory) == [KIM]


async def test_what_a_person_says_too_leaves_the_quarantine(memory: PostgresMemory) -> None:
    item = await _told(memory, KIM, external=True)
    await _told(memory, KIM)
    confirmed = (await memory.read(TENANT, item.id)).content
    assert (confirmed.status, confirmed.trust) == (MemoryStatus.ACTIVE, Trust.HUMAN)
    assert not confirmed.tainted


async def test_what_comes_from_outside_vouches_for_nothing(memory: PostgresMemory) -> None:
    item = await _told(memory, KIM)
    await _told(memory, KIM, external=True)
    assert await memory.read(TENANT, item.id) == item


async def test_a_time_that_ends_before_it_begins_is_refused(memory: PostgresMemory) -> None:
    now = datetime.now(UTC)
    with pytest.raises(InvalidInput, match="no time at all"):
        await _told(memory, KIM, valid_from=now, valid_to=now - timedelta(days=1))
    item = await _told(memory, KIM, valid_from=now)
    with pytest.raises(InvalidInput, match="no time at all"):
        await memory.edit(TENANT, item.id, {"valid_to": now}, author="bob", reason="x")


async def test_a_conversation_is_told_in_its_own_environment_alone(
    memory: PostgresMemory, database: Database
) -> None:
    for environment in ("prod", "dev"):
        async with database.tenant(TENANT) as connection:
            await connection.execute(
                """insert into runs (tenant, id, goal, agent, agent_version, environment, mode, thread, labels, requested_by, input, status)
                   values (%s, %s, %s, 'operator', 1, %s, 'plan', 'talk', '{}', 'ann', '{}', 'succeeded')""",
                (TENANT, new_id("run"), f"a goal of {environment}", environment),
            )
    scope = RunScope(tenant=TENANT, run_id=new_id("run"), agent="operator", environment="dev")
    told = await memory.recall(RecallRequest(scope=scope, goal="go on", thread="talk"))
    assert [item.text for item in told.items] == ["Earlier in this conversation: a goal of dev — succeeded. "]


async def test_all_that_a_new_fact_contradicts_gives_way_and_not_the_first_alone(database: Database) -> None:
    memory = PostgresMemory(database=database)
    told = {"subject": "db-1", "attribute": "version"}
    await memory.add(TENANT, MemoryDraft(text="It runs 16.", data=told), author="ann")
    later = datetime.now(UTC) + timedelta(days=3)
    await memory.add(TENANT, MemoryDraft(text="It runs 17.", data=told, valid_from=later), author="ann")
    last = await memory.add(TENANT, MemoryDraft(text="It runs 18.", data=told), author="ann")
    standing = await memory.items(TENANT, status=MemoryStatus.ACTIVE)
    assert [item.id for item in standing] == [last.id]


async def test_an_item_that_says_nothing_is_refused(database: Database) -> None:
    memory = PostgresMemory(database=database)
    with pytest.raises(InvalidInput):
        await memory.add(TENANT, MemoryDraft(text="  \n "), author="ann")
