"""Everything at once: the API on a socket, real Temporal and Postgres, the real guardian, workers for every queue. Only
what thinks is scripted, and what the tools do to the world is counted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from temporalio.client import Client

from holdfast.adapters.guardian import StoredPolicies
from holdfast.adapters.postgres.agents import PostgresAgents
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.brakes import PostgresBrakes
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.model_routes import PostgresModelRoutes
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.readings import PostgresReadings
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.runs import Acceptance
from holdfast.runtime.settings import ApiSettings, TemporalSettings, WorkerSettings
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.base import JsonObject
from schemas.events import RunEvent
from tests.api.conftest import RunningApi, reaching, serve
from tests.patience import pauses
from tests.runs.acting import Forgetful, Script
from tests.runs.conftest import World
from workers import pools

ENDED = ("succeeded", "failed", "cancelled", "timed_out", "rejected")


@dataclass
class House:
    api: RunningApi
    http: httpx.AsyncClient
    client: Client
    world: World
    script: Script

    async def post(self, path: str, body: JsonObject | None = None, *, key: str | None = None) -> Any:
        async with self.api.http(key) if key else _same(self.http) as http:
            answer = await http.post(path, json=body or {})
        assert answer.is_success, answer.text
        return answer.json()

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.is_success, answer.text
        return answer.json()

    async def start(self, *steps: JsonObject, **fields: Any) -> str:
        plan = {"plan": {"steps": list(steps)}} if steps else {}
        run = await self.post("/v1/runs", {"goal": "test", "on_failure": "fail", **plan, **fields})
        run_id: str = run["id"]
        return run_id

    async def end(self, run_id: str) -> JsonObject:
        """The run, once it has ended."""
        run: JsonObject = await self.until(
            lambda: self.get(f"/v1/runs/{run_id}"), lambda run: run["status"] in ENDED
        )
        return run

    async def until(
        self, look: Callable[[], Awaitable[Any]], seen: Callable[[Any], Any], *, patience_s: float = 40
    ) -> Any:
        waits = pauses()
        async with asyncio.timeout(patience_s):
            while not seen(found := await look()):  # noqa: ASYNC110 - the world outside sets no event of ours
                await asyncio.sleep(next(waits))
        return found

    async def event(self, run_id: str, kind: str, times: int = 1) -> RunEvent:
        """The event of that type, as soon as it has been told so often."""

        async def told() -> list[RunEvent]:
            return [event for event in await self.story(run_id) if event.type.value == kind]

        found: list[RunEvent] = await self.until(told, lambda told: len(told) >= times)
        return found[times - 1]

    async def story(self, run_id: str) -> Sequence[RunEvent]:
        return await self.api.services.runs.events("default", run_id, limit=10_000)

    async def effects(self, run_id: str) -> list[tuple[str, str]]:
        found = await self.get(f"/v1/runs/{run_id}/effects")
        return [(effect["step_id"], effect["status"]) for effect in found["items"]]

    async def decide(
        self, run_id: str, decision: str = "approve", *, times: int = 1, key: str | None = None, **fields: Any
    ) -> JsonObject:
        """Answers the question that stands at this place among those of the run."""
        asked = (await self.event(run_id, "approval.requested", times)).data
        body = {"decision": decision, "digest": asked["digest"], **fields}
        await self.post(f"/v1/approvals/{asked['approval_id']}/decision", body, key=key)
        approval: JsonObject = await self.get(f"/v1/approvals/{asked['approval_id']}")
        return approval

    async def allow(self) -> None:
        """A policy that lets `say` through, where none says otherwise."""
        await self.policy("let-through", effect="allow", scope={"tools": ["say"]})

    async def policy(self, name: str, **document: Any) -> None:
        """A policy about `say` that is in force when this returns."""
        examples = {"match": [_call("say", text="odd")], "not_match": [_call("look")]}
        body = {"name": name, "description": name, "examples": examples, **document}
        await self.post("/v1/policies", {"document": body})
        await self.post("/v1/policy-bundles/activate", {})


@asynccontextmanager
async def _same(http: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    yield http


@asynccontextmanager
async def opened(database_url: str, temporal_address: str) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        settings = ApiSettings(look_after_s=1)
        api = await stack.enter_async_context(serve(database_url, reaching(temporal_address), api=settings))
        database = api.services.database
        plugin = HoldfastPlugin(payloads=PostgresPayloads(database))
        client = await connect(plugin, address=temporal_address)
        world, script = World(), Script()
        tools, runs = RegistryToolHost(Registry(world.tools())), PostgresRuns(database=database)
        offers = await Database.open(database_url, role="holdfast_tools", max_size=1)
        await PostgresTools(database=offers).publish([*tools.specs(), calc.spec])
        await offers.close()
        ledger, artifacts = PostgresLedger(database=database), PostgresArtifacts(database=database)
        policies = StoredPolicies(
            policies=PostgresPolicies(database=database), brakes=PostgresBrakes(database=database)
        )
        made = [
            pools.orchestration(
                story=runs,
                runs=runs,
                artifacts=artifacts,
                guardian=PolicyGuardian(policies=policies),
                ledger=ledger,
                approvals=PostgresApprovals(database=database),
                fast_tools=RegistryToolHost(Registry([calc])),
                memory=Forgetful(),
                acceptance=Acceptance(
                    agents=PostgresAgents(database=database),
                    catalogues=PostgresTools(database=database),
                    bundles=PostgresReadings(database=database),
                    models=PostgresModelRoutes(database=database),
                ),
            ),
            pools.tools(ledger=ledger, tools=tools, artifacts=artifacts, worker="test"),
            pools.llm(planner=script, runs=runs, story=runs),
        ]
        for pool in made:
            worker = pool.worker(client, workers=WorkerSettings(drain_s=0.1), temporal=TemporalSettings())
            await stack.enter_async_context(worker)
        yield House(api, api.http(), client, world, script)


def _call(tool: str, **arguments: str) -> JsonObject:
    return {"tool": tool, "arguments": arguments, "environment": "dev"}


def say(name: str, text: str = "", **fields: Any) -> JsonObject:
    arguments = {"text": text or name, **fields.pop("arguments", {})}
    return {"id": name, "kind": "tool", "tool": "say", "arguments": arguments, **fields}
