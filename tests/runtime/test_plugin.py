"""The one plugin, on a real server: what a client, a worker and a replayer make of it."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.json_format import MessageToJson
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.converter import StorageDriverClaim, StorageDriverRetrieveContext
from temporalio.worker import Replayer, Worker

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.errors import Conflict, HoldfastError, Misconfigured, Unavailable
from holdfast.runtime.encryption import Keyring
from holdfast.runtime.failures import cause_of, from_temporal
from holdfast.runtime.temporal import HoldfastPlugin, connect, connect_config
from schemas.tools import ToolError
from tests.databases import as_owner
from tests.runtime.flows import Breaks, Causes, Echo, Letter, Waits, WaitsChanged, double, fail

OLD, NEW = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
WORKFLOWS = [Breaks, Causes, Echo, Waits]


@asynccontextmanager
async def working(address: str, plugin: HoldfastPlugin) -> AsyncIterator[tuple[Client, str]]:
    """A client, and a worker that inherits the plugin from it."""
    client = await connect(plugin, address=address)
    queue = f"runtime-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=[double, fail]):
        yield client, queue


def letter(size: int) -> Letter:
    return Letter(text="x" * size)


async def echo(client: Client, queue: str, size: int) -> WorkflowHandle[Echo, Letter]:
    handle = await client.start_workflow(Echo.run, letter(size), id=f"run_{uuid4().hex}", task_queue=queue)
    answer = await handle.result()
    assert (len(answer.text), answer.step_id) == (2 * size, str(2 * size))
    return handle


async def history_json(handle: WorkflowHandle[Echo, Letter]) -> str:
    history = await handle.fetch_history()
    return "".join(MessageToJson(event) for event in history.events)


async def test_a_large_value_leaves_a_small_history_and_replays(
    temporal_address: str, database: Database
) -> None:
    plugin = HoldfastPlugin(payloads=PostgresPayloads(database))
    async with working(temporal_address, plugin) as (client, queue):
        handle = await echo(client, queue, 3_000_000)
        assert len(await history_json(handle)) < 12_000
        history = await handle.fetch_history()
    async with as_owner(database) as connection:
        cursor = await connection.execute("select distinct workflow_id from payloads")
        assert [row["workflow_id"] for row in await cursor.fetchall()] == [handle.id]
    fresh = HoldfastPlugin(payloads=PostgresPayloads(database))
    await Replayer(workflows=WORKFLOWS, plugins=[fresh]).replay_workflow(history)


async def test_encryption_hides_values_failures_and_stored_payloads(
    temporal_address: str, database: Database
) -> None:
    plugin = HoldfastPlugin(payloads=PostgresPayloads(database), keyring=Keyring.parse(f"a:{OLD}"))
    async with working(temporal_address, plugin) as (client, queue):
        handle = await echo(client, queue, 200_000)
        small = await echo(client, queue, 20)
        failing = await client.start_workflow(Breaks.run, "domain", id=f"run_{uuid4().hex}", task_queue=queue)
        with pytest.raises(WorkflowFailureError) as failed:
            await failing.result()
        assert from_temporal(failed.value).remedy == "Start another."
        story = await history_json(handle) + await history_json(small)
        assert base64.b64encode(b"xxxxxx").decode() not in story
        end = (await failing.fetch_history()).events[-1]
        assert "run has ended" not in MessageToJson(end)
        assert "Encoded failure" in MessageToJson(end)
        history = await small.fetch_history()
    async with as_owner(database) as connection:
        cursor = await connection.execute(
            "select count(*) as n from payloads where position('xxxxxx' in data) > 0"
        )
        assert (await cursor.fetchone()) == {"n": 0}
    rotated = HoldfastPlugin(payloads=PostgresPayloads(database), keyring=Keyring.parse(f"b:{NEW},a:{OLD}"))
    await Replayer(workflows=WORKFLOWS, plugins=[rotated]).replay_workflow(history)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "forbidden",
            ToolError(
                code="forbidden", message="The key may not do this.", remedy="Ask for the role operator."
            ),
        ),
        ("busy", None),
        ("hang", ToolError(code="timed_out", message="It was started and took too long.")),
    ],
)
async def test_a_workflow_reads_why_an_activity_failed(
    temporal_address: str, kind: str, expected: ToolError | None
) -> None:
    async with working(temporal_address, HoldfastPlugin()) as (client, queue):
        result = await client.execute_workflow(
            Causes.run,
            kind,
            id=f"run_{uuid4().hex}",
            task_queue=queue,
            execution_timeout=timedelta(seconds=20),
        )
    assert result == expected


async def test_the_cause_of_an_error_stays_out_of_the_history(temporal_address: str) -> None:
    async with working(temporal_address, HoldfastPlugin()) as (client, queue):
        handle = await client.start_workflow(Causes.run, "leaky", id=f"run_{uuid4().hex}", task_queue=queue)
        assert await handle.result() == ToolError(code="forbidden", message="No.")
        history = await handle.fetch_history()
    assert b"sk-very-secret" not in b"".join(event.SerializeToString() for event in history.events)


async def test_a_domain_error_crosses_temporal_and_is_itself_again(temporal_address: str) -> None:
    async with working(temporal_address, HoldfastPlugin()) as (client, queue):
        handle = await client.start_workflow(Breaks.run, "domain", id=f"run_{uuid4().hex}", task_queue=queue)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    error = from_temporal(failed.value)
    assert (type(error), error.remedy, error.ids) == (Conflict, "Start another.", {"run_id": handle.id})


@pytest.mark.parametrize("ring", [None, Keyring.parse(f"b:{NEW}")])
async def test_a_run_waits_for_the_key_it_was_encrypted_with(
    temporal_address: str, ring: Keyring | None
) -> None:
    queue, run_id = f"runtime-{uuid4()}", f"run_{uuid4().hex}"
    before = await connect(HoldfastPlugin(keyring=Keyring.parse(f"a:{OLD}")), address=temporal_address)
    begun = await before.start_workflow(
        Echo.run, letter(20), id=run_id, task_queue=queue, task_timeout=timedelta(seconds=2)
    )
    without = await connect(HoldfastPlugin(keyring=ring), address=temporal_address)
    async with Worker(without, task_queue=queue, workflows=WORKFLOWS, activities=[double]):
        await seen(begun, "workflow_task_failed_event_attributes")
    assert (await begun.describe()).status is WorkflowExecutionStatus.RUNNING
    both = HoldfastPlugin(keyring=Keyring.parse(f"b:{NEW},a:{OLD}"))
    async with Worker(
        rotated := await connect(both, address=temporal_address),
        task_queue=queue,
        workflows=WORKFLOWS,
        activities=[double],
    ):
        answer = await rotated.get_workflow_handle_for(Echo.run, run_id).result()
    assert len(answer.text) == 40


async def test_a_bug_in_a_workflow_fails_its_run(temporal_address: str) -> None:
    async with working(temporal_address, HoldfastPlugin()) as (client, queue):
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow(Breaks.run, "bug", id=f"run_{uuid4().hex}", task_queue=queue)
    assert cause_of(failed.value).code == "KeyError"
    assert type(from_temporal(failed.value)) is HoldfastError


async def test_a_bad_deploy_stalls_runs_and_fails_none(temporal_address: str) -> None:
    client = await connect(HoldfastPlugin(), address=temporal_address)
    queue = f"runtime-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[Waits], activities=[double]):
        handle = await client.start_workflow(Waits.run, letter(1), id=f"run_{uuid4().hex}", task_queue=queue)
        await seen(
            handle,
            "activity_task_completed_event_attributes",
            then="workflow_task_completed_event_attributes",
        )
    await handle.signal("wake_up")
    async with Worker(client, task_queue=queue, workflows=[WaitsChanged], activities=[double]):
        await seen(handle, "workflow_task_failed_event_attributes")
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await handle.terminate()


async def seen(handle: WorkflowHandle[Any, Any], first: str, *, then: str = "") -> None:
    wanted = [first, then] if then else [first]
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.WhichOneof("attributes") == wanted[0]:
            wanted.pop(0)
        if not wanted:
            return


async def test_a_refused_update_tells_its_remedy(temporal_address: str) -> None:
    async with working(temporal_address, HoldfastPlugin()) as (client, queue):
        handle = await client.start_workflow(Waits.run, letter(1), id=f"run_{uuid4().hex}", task_queue=queue)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(Waits.answer, "no")
        error = from_temporal(refused.value)
        assert (type(error), error.remedy) == (Conflict, "Say yes.")
        await handle.execute_update(Waits.answer, "yes")
        assert await handle.result() == "yes"


class Interrupted(PostgresPayloads):
    """A database that is away the first time it is asked for a payload."""

    interruptions = 0

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        if not self.interruptions:
            self.interruptions += 1
            raise Unavailable("Postgres is away.")
        return await super().retrieve(context, claims)


async def test_a_database_that_is_away_delays_a_run_and_does_not_fail_it(
    temporal_address: str, database: Database
) -> None:
    payloads = Interrupted(database)
    async with working(temporal_address, HoldfastPlugin(payloads=payloads)) as (client, queue):
        handle = await echo(client, queue, 100_000)
        history = await handle.fetch_history()
    assert payloads.interruptions == 1
    assert any(event.HasField("workflow_task_failed_event_attributes") for event in history.events)


async def test_an_unreachable_server_is_one_clear_error() -> None:
    with pytest.raises(Unavailable, match=r"Temporal cannot be reached at 127\.0\.0\.1:1.*TEMPORAL_ADDRESS"):
        await connect(HoldfastPlugin(), address="127.0.0.1:1")


async def test_a_missing_namespace_is_one_clear_error(temporal_address: str) -> None:
    with pytest.raises(Misconfigured, match=r"no namespace 'nobodys'.*TEMPORAL_NAMESPACE"):
        await connect(HoldfastPlugin(), address=temporal_address, namespace="nobodys")


def test_an_api_key_switches_tls_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "eu-west-1.aws.api.temporal.io:7233")
    monkeypatch.setenv("TEMPORAL_API_KEY", "key")
    config = connect_config()
    assert (config["target_host"], config["tls"]) == ("eu-west-1.aws.api.temporal.io:7233", True)


async def test_the_sdks_own_variables_and_profiles_decide(
    temporal_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    profile = tmp_path_factory.mktemp("profile") / "temporal.toml"
    profile.write_text(f'[profile.work]\naddress = "{temporal_address}"\nnamespace = "default"\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(profile))
    monkeypatch.setenv("TEMPORAL_PROFILE", "work")
    assert (await connect(HoldfastPlugin())).namespace == "default"
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nobodys")
    with pytest.raises(Misconfigured, match="nobodys"):
        await connect(HoldfastPlugin())
    monkeypatch.setenv("TEMPORAL_PROFILE", "missing")
    with pytest.raises(Misconfigured, match="cannot be read"):
        await connect(HoldfastPlugin())
