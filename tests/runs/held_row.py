"""A row of calls as a worker carries it out, on a ledger that can be held at one exact moment."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from activities.act import ActActivities
from holdfast.adapters.postgres.artifacts import PostgresArtifacts
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import LedgerAnswer, PostgresLedger
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.errors import Unavailable
from holdfast.ids import new_id
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.actions import Action
from schemas.agents import AgentSpec
from schemas.effects import Effect
from schemas.runs import RunInput
from schemas.stages import ActReports, ActRequest, ActRow, JudgeRequest, RunScope
from tests.runs.acting import ByName
from tests.runs.conftest import World

CANCELLED = ActivityCancellationDetails(cancel_requested=True)
SHUTDOWN = ActivityCancellationDetails(worker_shutdown=True)


@dataclass
class Door:
    """A place where the ledger stops until the test lets it go on."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)


class HeldLedger(PostgresLedger):
    """The real one, which can be held right behind a statement, or find Postgres away."""

    def __init__(self, database: Database) -> None:
        super().__init__(database=database)
        self.behind: dict[str, Door] = {}
        self.away = asyncio.Event()
        self.asked_while_away = asyncio.Event()

    async def dispatch(self, request: ActRequest, **fields: Any) -> LedgerAnswer:
        return await self._held("dispatch", await super().dispatch(request, **fields))

    async def observe_and_dispatch(self, *calls: Any, **fields: Any) -> LedgerAnswer:
        return await self._held("pair", await super().observe_and_dispatch(*calls, **fields))

    async def observe(self, *call: Any) -> None:
        if self.away.is_set():
            self.asked_while_away.set()
            raise Unavailable("Postgres is away.")
        await super().observe(*call)
        await self._held("observe", LedgerAnswer(outcome="done"))

    async def _held(self, name: str, answer: LedgerAnswer) -> LedgerAnswer:
        if door := self.behind.get(name):
            door.reached.set()
            await door.open.wait()
        return answer


@dataclass
class Row:
    """A row of calls as a worker carries it out."""

    ledger: HeldLedger
    world: World
    scope: RunScope
    activity: ActActivities
    calls: Sequence[ActRequest]
    environment: ActivityEnvironment = field(default_factory=ActivityEnvironment)

    def begin(self) -> asyncio.Task[ActReports]:
        return asyncio.create_task(self.environment.run(self.activity.act, ActRow(calls=tuple(self.calls))))

    def hold(self, place: str) -> Door:
        return self.ledger.behind.setdefault(place, Door())

    async def effects(self) -> dict[str, str]:
        found: Sequence[Effect] = await self.ledger.effects(self.scope.tenant, self.scope.run_id)
        return {effect.step_id: effect.status.value for effect in found}


async def judged_row(database: Database) -> Row:
    """Calls a, b and c, judged and ready; b waits in the world until it is let through."""
    run_input = RunInput(run_id=new_id("run"), tenant="default", goal="x", agent=AgentSpec(name="operator"))
    await PostgresRuns(database=database).create(run_input)
    scope = RunScope(tenant="default", run_id=run_input.run_id, agent="operator", environment="dev")
    world, ledger = World(), HeldLedger(database)
    host = RegistryToolHost(Registry(world.tools()))
    spec = host.find("say", "1.0.0")
    calls = []
    for name in "abc":
        action = Action(
            tenant="default",
            run_id=scope.run_id,
            step_id=name,
            tool="say",
            tool_version="1.0.0",
            arguments={"text": name, **({"wait": "door"} if name == "b" else {})},
            environment="dev",
            agent="operator",
        )
        request = JudgeRequest(scope=scope, action=action, tool=spec)
        await ledger.give_verdict(request, await ByName().judge(request))
        calls.append(ActRequest(scope=scope, action=action, digest=action.digest, tool_digest=spec.digest))
    artifacts = PostgresArtifacts(database=database)
    activity = ActActivities(ledger=ledger, tools=host, artifacts=artifacts, worker="test")
    return Row(ledger, world, scope, activity, calls)


async def ended(task: asyncio.Task[ActReports]) -> ActReports | None:
    """What the activity reports, or none where it says that it was cancelled."""
    async with asyncio.timeout(20):
        try:
            return await task
        except asyncio.CancelledError:
            return None


async def called(row: Row, name: str) -> None:
    async with asyncio.timeout(20):
        while name not in row.world.said:  # noqa: ASYNC110 - the world sets no event of ours
            await asyncio.sleep(0.005)
