"""Actions that the rules leave unclear, in whole runs: real guardian, Temporal, Postgres, and a judge behind HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio.client import Client

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.layer import ModelLayer
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.opinions import PostgresOpinions
from holdfast.adapters.postgres.payloads import PostgresPayloads
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.judge import SecondOpinions
from holdfast.guardian.shipped import shipped_bundle
from holdfast.guardian.sources import FixedPolicies
from holdfast.ids import new_id
from holdfast.llm.panels.action_panel import PanelJudge
from holdfast.runtime.temporal import HoldfastPlugin, connect
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Call, Fault, Match, Reply, Rule
from holdfast.tools.declare import ToolContext, declared
from holdfast.tools.host import RegistryToolHost
from holdfast.tools.registry import Registry
from schemas.agents import AgentSpec
from schemas.base import Request
from schemas.chat import TaskClass
from schemas.effects import EffectStatus
from schemas.events import EventType, RunEvent
from schemas.models import Deployment, ModelSettings, Price, Route
from schemas.plans import Plan, ToolStep
from schemas.policies import PolicyDocument, PolicyVersion
from schemas.runs import RunInput, RunOutput, RunState, RunStatus
from schemas.tools import ToolResult
from schemas.verdicts import Decision
from tests.llm.crew import at_work, crew
from tests.runs.acting import Script
from tests.runs.deciding import decide
from workers import pools
from workflows.agent_run import AgentRun

TOGETHER = PolicyDocument(
    name="together",
    description="What cannot be undone is settled by several models of one mind.",
    effect=Decision.REQUIRE_APPROVAL,
    when="'retire' in facts.binaries && tool.effect == 'irreversible'",
    judge="panel",
)


class Command(Request):
    command: str


@dataclass
class Stage:
    client: Client
    database: Database
    server: ModelServer
    host: RegistryToolHost
    did: list[str] = field(default_factory=list)

    async def start(self, *commands: str, environment: str = "dev") -> str:
        """One command after another."""
        steps = tuple(
            ToolStep(
                id=f"s{place}",
                tool="shell",
                arguments={"command": command},
                depends_on=(f"s{place - 1}",) if place else (),
            )
            for place, command in enumerate(commands)
        )
        run_input = RunInput(
            run_id=new_id("run"),
            tenant="default",
            goal="act",
            agent=AgentSpec(name="operator"),
            environment=environment,
            catalogue=self.host.catalogue(),
            on_failure="fail",
            state=RunState(plan=Plan(steps=steps)),
        )
        await PostgresRuns(database=self.database).create(run_input)
        await self.client.start_workflow(
            AgentRun.run, run_input, id=run_input.run_id, task_queue="orchestration"
        )
        return run_input.run_id

    async def end(self, run_id: str) -> RunOutput:
        handle: Any = self.client.get_workflow_handle(run_id, result_type=RunOutput)
        async with asyncio.timeout(60):
            output: RunOutput = await handle.result()
        return output

    async def story(self, run_id: str) -> Sequence[RunEvent]:
        return await PostgresRuns(database=self.database).events("default", run_id, limit=1000)

    async def verdicts(self, run_id: str) -> list[str]:
        return [
            event.data["decision"] for event in await self.story(run_id) if event.type is EventType.VERDICT
        ]

    async def approved(self, run_id: str) -> RunEvent:
        """What a person was asked, who then says yes."""
        async with asyncio.timeout(40):
            while True:
                found = [e for e in await self.story(run_id) if e.type is EventType.APPROVAL_REQUESTED]
                if found:
                    break
                await asyncio.sleep(0.02)
        asked = found[-1]
        digest = asked.data["digest"]
        await decide(self.database, self.client, run_id, asked.data["approval_id"], digest, approve=True)
        return asked


@pytest.fixture(scope="module")
async def stage(module_database: Database, temporal_address: str) -> AsyncIterator[Stage]:
    did: list[str] = []

    @declared("shell", payload="shell")
    async def shell(arguments: Command, context: ToolContext) -> ToolResult:
        """Notes a command."""
        did.append(arguments.command)
        return ToolResult(ok=True, output={"stdout": ""})

    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ModelServer())
        layer = ModelLayer(settings=_settings(server.base_url), keys=KeyRing({}), database=module_database)
        await layer.providers.load(layer.settings.deployments)
        stack.push_async_callback(layer.close)
        plugin = HoldfastPlugin(payloads=PostgresPayloads(module_database))
        client = await connect(plugin, address=temporal_address)
        host = RegistryToolHost(Registry([shell]))
        made = _crew(module_database, host, layer)
        await stack.enter_async_context(at_work(client, made, cached_runs=0))
        yield Stage(client, module_database, server, host, did)


def _settings(url: str) -> ModelSettings:
    deployments = tuple(
        Deployment(name=name, model=name, via="openai", base_url=url, price=Price(input=1, output=1))
        for name in ("one", "two", "three")
    )
    panel = Route(deployments=("two", "three"))
    return ModelSettings(
        deployments=deployments, routes={TaskClass.JUDGE: Route(deployments=("one",)), TaskClass.PANEL: panel}
    )


def _crew(database: Database, host: RegistryToolHost, layer: ModelLayer) -> Sequence[pools.Pool]:
    panel, book = layer.panel(), PostgresOpinions(database=database)
    rule = PolicyVersion(name="together", version=1, document=TOGETHER, resolved=TOGETHER)
    bundle = shipped_bundle()
    rules = RuleBook(bundle.model_copy(update={"policies": (*bundle.policies, rule)}))
    opinions = SecondOpinions(
        model=layer.action_judge(), panel=PanelJudge(panel=panel), book=book, timeout_s=4
    )
    runs = PostgresRuns(database=database)
    thinks = pools.llm(planner=Script(), runs=runs, story=runs, panels=panel, opinions=opinions)
    guardian = PolicyGuardian(policies=FixedPolicies(rules), opinions=book)
    return crew(database, host, thinks=thinks, guardian=guardian)


@pytest.fixture(autouse=True)
def forgotten(stage: Stage) -> None:
    stage.server.rules.clear()
    stage.server.calls.clear()
    stage.did.clear()


def opinion(decision: str, why: str = "it only prints a number") -> Rule:
    return Rule(match=Match(form="opinion"), replies=(Reply(data={"decision": decision, "why": why}),))


async def test_what_the_judge_allows_goes_out_and_the_same_facts_are_not_asked_twice(stage: Stage) -> None:
    stage.server.rules.append(opinion("allow"))
    run_id = await stage.start("frobnicate --print")
    output = await stage.end(run_id)
    assert output.status is RunStatus.SUCCEEDED
    assert stage.did == ["frobnicate --print"]
    assert await stage.verdicts(run_id) == ["require_approval", "allow"]
    story = await stage.story(run_id)
    [settled] = [e for e in story if e.type is EventType.VERDICT and "judge" in str(e.data["reasons"])]
    assert settled.data["reasons"][0]["message"] == "the model judge sees no harm: it only prints a number"
    assert not [event for event in story if event.type is EventType.APPROVAL_REQUESTED]
    assert output.spend_usd > 0
    [effect] = await PostgresLedger(database=stage.database).effects("default", run_id)
    assert effect.status is EffectStatus.SUCCEEDED
    again = await stage.start("frobnicate --print")
    assert (await stage.end(again)).spend_usd == 0
    assert (await stage.verdicts(again)) == ["allow"]
    assert len(stage.server.calls) == 1
    assert "frobnicate --print" in stage.server.calls[0].last


async def test_an_unclear_action_in_a_row_of_clear_ones_is_asked_about_in_its_turn(stage: Stage) -> None:
    stage.server.rules.append(opinion("allow"))
    run_id = await stage.start("ls", "frobnicate --row", "pwd")
    assert (await stage.end(run_id)).status is RunStatus.SUCCEEDED
    assert stage.did == ["ls", "frobnicate --row", "pwd"]
    assert len(stage.server.calls) == 1
    given = [e for e in await stage.story(run_id) if e.type is EventType.VERDICT and e.step_id == "s1"]
    assert [event.data["decision"] for event in given] == ["require_approval", "allow"]
    assert given[0].data["may_settle"] == "model"


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (Reply(data={"decision": "require_approval", "why": "it may deploy"}), "it may deploy"),
        (Reply(fault=Fault(kind="content")), "no usable answer: content_refused"),
        (Reply(text="allow, of course!"), "no usable answer: answer_malformed"),
        (Reply(data={"decision": "allow"}, delay_s=30), "no usable answer: no answer within 4 s"),
    ],
    ids=["doubts", "refuses", "babbles", "dawdles"],
)
async def test_what_the_judge_does_not_allow_people_are_asked_and_read_why(
    stage: Stage, reply: Reply, word: str
) -> None:
    stage.server.rules.append(Rule(match=Match(form="opinion"), replies=(reply,)))
    run_id = await stage.start(f"frobnicate {word.rsplit(maxsplit=1)[-1]}")
    asked = await stage.approved(run_id)
    assert asked.data["summary"]["reasons"][-1] == f"the model judge leaves it to people: {word}"
    assert (await stage.end(run_id)).status is RunStatus.SUCCEEDED
    assert await stage.verdicts(run_id) == ["require_approval", "require_approval"]
    assert len(stage.server.calls) == 1


async def test_no_judge_is_asked_about_what_the_rules_deny_or_hold_for_people(stage: Stage) -> None:
    stage.server.rules.append(opinion("allow"))
    denied = await stage.start("mkfs.ext4 /dev/sda1", environment="prod")
    assert (await stage.end(denied)).status is RunStatus.FAILED
    asked = await stage.start("frobnicate", environment="prod")
    await stage.approved(asked)
    await stage.end(asked)
    assert stage.server.calls == []
    assert stage.did == ["frobnicate"]


@pytest.mark.parametrize(("second", "people"), [("allow", False), ("require_approval", True)])
async def test_a_panel_settles_what_cannot_be_undone_only_with_one_mind(
    stage: Stage, second: str, *, people: bool
) -> None:
    def voice(call: Call) -> Reply | None:
        choice = {"two": "allow", "three": second}.get(call.model)
        return Reply(data={"answer": "because", "choice": choice}) if call.form == "voice" else None

    stage.server.rules.append(voice)
    run_id = await stage.start(f"retire {second}")
    if people:
        asked = await stage.approved(run_id)
        assert asked.data["summary"]["reasons"][-1].startswith("the panel leaves it to people: a tie")
    output = await stage.end(run_id)
    assert output.status is RunStatus.SUCCEEDED
    assert output.spend_usd > 0
    assert {call.model for call in stage.server.calls} == {"two", "three"}
