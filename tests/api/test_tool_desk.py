"""Tools over HTTP and by the commands: seen, switched, counted, and called as runs."""

import json
from collections.abc import AsyncIterator

import pytest
from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.tool_desk import PostgresToolNotice
from holdfast.adapters.postgres.tools import PostgresTools
from holdfast.errors import NotFound
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.builtin.human import ask
from holdfast.tools.builtin.text import TEXT_TOOLS
from schemas.runs import RunRequest
from tests.api.conftest import RunningApi, reaching, serve
from tests.cli.commands import holdfast


@pytest.fixture(scope="module")
async def api(module_database_url: str, temporal_address: str) -> AsyncIterator[RunningApi]:
    worker = await Database.open(module_database_url, role="holdfast_tools", max_size=1)
    old = calc.spec.model_copy(update={"version": "0.9.0", "deprecated": "Use 1.0.0."})
    older = old.model_copy(update={"version": "0.10.0-rc.1"})
    await PostgresTools(database=worker).publish(
        [older, old, calc.spec, ask.spec, *[tool.spec for tool in TEXT_TOOLS]]
    )
    await PostgresToolNotice(database=worker, worker="w").refuse("bad.yaml", "It is no YAML.")
    await worker.close()
    async with serve(module_database_url, reaching(temporal_address)) as running:
        yield running


async def test_versions_are_shown_and_the_newest_is_offered(api: RunningApi) -> None:
    client = api.client()
    offered = {spec.name: spec.version for spec in await client.tools.offered()}
    assert offered == {"calc": "1.0.0", "human.ask": "1.0.2", "text.grep": "1.0.0", "text.jq": "1.0.0"}
    assert [state.spec.version for state in await client.tools.states("calc")] == [
        "0.9.0",
        "0.10.0-rc.1",
        "1.0.0",
    ]
    assert [problem.source for problem in await client.tools.problems()] == ["bad.yaml"]


async def test_a_tool_is_switched_off_in_one_environment_and_on_again(api: RunningApi) -> None:
    client = api.client()
    await client.tools.switch("text.jq", enabled=False, environment="prod")
    assert "text.jq" not in {spec.name for spec in await client.tools.offered(environment="prod")}
    assert "text.jq" in {spec.name for spec in await client.tools.offered(environment="dev")}
    with pytest.raises(NotFound):
        await client.tools.call("text.jq", {"filter": ".", "data": {}}, environment="prod")
    await client.tools.switch("text.jq", enabled=True)
    assert "text.jq" in {spec.name for spec in await client.tools.offered(environment="prod")}
    with pytest.raises(NotFound):
        await client.tools.switch("nothing", enabled=False)


async def test_an_example_that_needs_something_first_is_skipped(api: RunningApi) -> None:
    tried = await holdfast(api, "tools", "test", "human.ask")
    assert (tried.code, tried.out) == (
        0,
        "skipped  Which one?: it needs somebody who approves it with --arg answer=/wal\n",
    )


async def test_a_call_is_a_run_of_one_step_for_those_who_may(api: RunningApi) -> None:
    run = await api.client().tools.call("calc", {"expression": "1 + 1"})
    started = await api.services.runs.start_input("default", run.id)
    assert started.state.plan is not None
    assert [(step.id, step.kind) for step in started.state.plan.steps] == [("call", "tool")]
    viewer = api.http(await api.new_key("viewer"))
    refused = await viewer.post("/v1/tools/calc/calls", json={"arguments": {}})
    assert refused.status_code == 403
    assert (await viewer.put("/v1/tools/calc/switch", json={"enabled": False})).status_code == 403
    assert (await viewer.get("/v1/tool-uses")).status_code == 200


async def test_uses_are_counted_from_the_ledger(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="count"))
    async with api.services.database.tenant("default") as connection:
        for number, (status, result) in enumerate(
            [
                ("succeeded", {"ok": True, "duration_ms": 10}),
                ("succeeded", {"ok": True, "duration_ms": 30}),
                ("failed", {"ok": False, "duration_ms": 20, "error": {"code": "timeout", "message": "x"}}),
                ("unknown", None),
            ]
        ):
            await connection.execute(
                """insert into effects (run_id, action_digest, tenant, step_id, tool, tool_version, effect_class,
                     environment, arguments, status, result)
                   values (%s, %s, 'default', 's', 'counted', '1.0.0', 'read_only', 'dev', '{}', %s, %s)""",
                (run.id, f"sha256:{number:064d}", status, Jsonb(result) if result else None),
            )
    (use,) = await api.client().tools.uses(tool="counted")
    assert (use.calls, use.succeeded, use.failed, use.unknown) == (4, 2, 1, 1)
    assert (use.failures, use.p50_ms) == ({"timeout": 1}, 20)
    assert use.last_used_at is not None
    measured = (await api.http().get("/metrics")).text
    assert 'holdfast_tool_calls{outcome="succeeded",tool="counted",version="1.0.0"} 2.0' in measured
    assert 'holdfast_tool_failures{code="timeout",tool="counted",version="1.0.0"} 1.0' in measured
    assert 'holdfast_tool_seconds{quantile="0.5",tool="counted",version="1.0.0"} 0.02' in measured


async def test_the_commands_show_switch_and_refuse(api: RunningApi) -> None:
    listed = await holdfast(api, "tools", "ls")
    assert listed.code == 0, listed.err
    assert [line.split()[0] for line in listed.out.splitlines()] == [
        *("calc", "human.ask", "text.grep", "text.jq")
    ]
    assert "bad.yaml" in listed.err
    shown = await holdfast(api, "tools", "show", "calc")
    assert "version 0.9.0: published, deprecated: Use 1.0.0." in shown.out
    found = await holdfast(api, "tools", "search", "expression", "--json")
    assert {json.loads(line)["name"] for line in found.out.splitlines()} == {"calc", "text.grep"}
    assert (
        await holdfast(api, "tools", "disable", "text.grep", "--env", "prod")
    ).out == "text.grep is off in prod\n"
    assert (await holdfast(api, "tools", "enable", "text.grep")).out == "text.grep is on everywhere\n"
    assert (await holdfast(api, "tools", "show", "nothing")).code == 1
