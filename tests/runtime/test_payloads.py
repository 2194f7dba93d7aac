"""Large payloads live in Postgres; the history holds a claim."""

import hashlib

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    StorageDriverActivityInfo,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
    StorageDriverWorkflowInfo,
)

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.payloads import LARGEST, PostgresPayloads
from holdfast.errors import HoldfastError, TooLarge
from holdfast.runtime.converter import ProcessPayloadConverter, Unreadable
from tests.databases import as_owner

READ = StorageDriverRetrieveContext()


def of_workflow(workflow_id: str) -> StorageDriverStoreContext:
    return StorageDriverStoreContext(target=StorageDriverWorkflowInfo(namespace="default", id=workflow_id))


def payload(text: str) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


async def rows(database: Database) -> list[tuple[str, str]]:
    async with as_owner(database) as connection:
        cursor = await connection.execute("select workflow_id, key from payloads order by key")
        return [(row["workflow_id"], row["key"]) for row in await cursor.fetchall()]


async def test_a_batch_comes_back_in_its_order_in_another_process(database: Database) -> None:
    batch = [payload(f"value {number}" * 100) for number in range(5)]
    claims = await PostgresPayloads(database).store(of_workflow("run_a"), batch)
    assert await PostgresPayloads(database).retrieve(READ, claims[::-1]) == batch[::-1]


async def test_a_process_reads_payloads_by_their_keys_and_can_list_none(database: Database) -> None:
    await PostgresPayloads(database).store(of_workflow("run_a"), [payload("of somebody else")])
    with pytest.raises(HoldfastError, match="permission denied"):
        async with database.statement() as connection:
            await connection.execute("select key from payloads")


async def test_the_same_payload_of_one_run_is_stored_once(database: Database) -> None:
    for driver in (PostgresPayloads(database), PostgresPayloads(database)):
        first, second = await driver.store(of_workflow("run_a"), [payload("same"), payload("same")])
        assert first == second
    assert len(await rows(database)) == 1


async def test_two_runs_never_share_a_row_so_that_one_can_be_purged(database: Database) -> None:
    driver = PostgresPayloads(database)
    await driver.store(of_workflow("run_a"), [payload("same")])
    await driver.store(of_workflow("run_b"), [payload("same")])
    assert [owner for owner, _ in await rows(database)] == ["run_a", "run_b"]


async def test_an_activity_without_a_workflow_owns_its_payloads(database: Database) -> None:
    target = StorageDriverActivityInfo(namespace="default", id="ingest-1")
    await PostgresPayloads(database).store(StorageDriverStoreContext(target=target), [payload("x")])
    assert [owner for owner, _ in await rows(database)] == ["activity:ingest-1"]


async def test_what_was_seen_is_not_asked_for_again(database: Database) -> None:
    driver = PostgresPayloads(database)
    claims = await driver.store(of_workflow("run_a"), [payload("seen")])
    await database.close()
    assert await driver.retrieve(READ, claims) == [payload("seen")]
    assert await driver.store(of_workflow("run_a"), [payload("seen")]) == claims


async def test_the_cache_keeps_within_its_room(database: Database) -> None:
    driver = PostgresPayloads(database, cache_bytes=3000)
    claims = await driver.store(of_workflow("run_a"), [payload(str(number) * 1000) for number in range(10)])
    kept = [claim.claim_data["key"] in driver._seen for claim in claims]
    assert kept == [False] * 8 + [True] * 2
    assert await driver.retrieve(READ, claims[:1]) == [payload("0" * 1000)]


async def test_a_missing_payload_says_which_and_what_to_do(database: Database) -> None:
    claim = StorageDriverClaim(claim_data={"key": f"run_a/{hashlib.sha256(b'').hexdigest()}"})
    found = await PostgresPayloads(database).retrieve(READ, [claim])
    with pytest.raises(Unreadable, match="restore its table"):
        ProcessPayloadConverter().from_payloads(found)


@pytest.mark.parametrize("claimed", [{}, {"key": ""}, {"key": "x\0/y"}, {"other": "run_a"}])
async def test_a_forged_claim_is_an_error_for_its_reader_alone(
    database: Database, claimed: dict[str, str]
) -> None:
    driver = PostgresPayloads(database)
    [true] = await driver.store(of_workflow("run_a"), [payload("true")])
    found = await driver.retrieve(READ, [StorageDriverClaim(claim_data=claimed), true])
    assert found[1] == payload("true")
    with pytest.raises(Unreadable):
        ProcessPayloadConverter().from_payloads(found[:1])


async def test_a_changed_payload_is_refused(database: Database, database_url: str) -> None:
    import psycopg  # noqa: PLC0415 -- as the owner, past our own adapter

    claims = await PostgresPayloads(database).store(of_workflow("run_a"), [payload("true")])
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as owner:
        await owner.execute("update holdfast.payloads set data = 'false'")
    found = await PostgresPayloads(database).retrieve(READ, claims)
    with pytest.raises(Unreadable, match="was changed"):
        ProcessPayloadConverter().from_payloads(found)


async def test_a_giant_is_refused_with_a_remedy(database: Database) -> None:
    giant = Payload(data=bytes(LARGEST + 1))
    with pytest.raises(TooLarge, match="as an artifact"):
        await PostgresPayloads(database).store(of_workflow("run_a"), [giant])
