"""Holdfast as an MCP server, asked by the client of the `mcp` package over HTTP, with keys of several roles."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from holdfast.adapters.postgres.knowledge import PostgresLibrary
from schemas.knowledge import DocumentDraft
from tests.api.conftest import RunningApi, make_tenant, reaching, serve, tell
from tests.api.test_approvals import ask


@pytest.fixture(scope="module")
async def api(module_database_url: str, temporal_address: str) -> AsyncIterator[RunningApi]:
    async with serve(module_database_url, reaching(temporal_address)) as running:
        yield running


@asynccontextmanager
async def client(api: RunningApi, key: str | None = None) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key or api.key}"}
    async with create_mcp_http_client(headers=headers) as http:
        transport = streamable_http_client(f"{api.url}/v1/mcp", http_client=http)
        async with Client(transport, cache=None) as opened:
            yield opened


async def call(opened: Client, tool: str, **arguments: Any) -> Any:
    return await opened.call_tool(tool, arguments)


async def test_a_client_starts_a_run_and_follows_it(api: RunningApi) -> None:
    async with client(api) as opened:
        assert {tool.name for tool in (await opened.list_tools()).tools} == {
            "start_run",
            "follow_run",
            "cancel_run",
            "list_approvals",
            "decide_approval",
            "search_runbooks",
        }
        started = await call(opened, "start_run", goal="look around")
        run_id = started.structured_content["id"]
        await tell(api, run_id, "run.message")
        told = (await call(opened, "follow_run", run_id=run_id)).structured_content
        assert told["events"][0]["type"] == "run.created"
        nothing = await call(opened, "follow_run", run_id=run_id, after=told["last"], wait_s=0)
        assert nothing.structured_content["events"] == []


async def test_an_approval_is_seen_and_decided_by_its_digest(api: RunningApi) -> None:
    approver = await api.new_key("approver")
    asked = await ask(api)
    async with client(api, approver) as opened:
        waiting = (await call(opened, "list_approvals")).structured_content["approvals"]
        assert asked.id in [approval["id"] for approval in waiting]
        wrong = await call(
            opened, "decide_approval", approval_id=asked.id, decision="approve", digest=f"sha256:{'0' * 64}"
        )
        assert wrong.is_error
        decided = await call(
            opened, "decide_approval", approval_id=asked.id, decision="approve", digest=asked.digest
        )
        assert decided.structured_content["status"] == "approved"


async def test_an_approval_is_given_for_other_arguments_and_only_with_edit(api: RunningApi) -> None:
    approver = await api.new_key("approver")
    asked = await ask(api)
    named = {"approval_id": asked.id, "digest": asked.digest, "arguments": {"command": "ls -l"}}
    async with client(api, approver) as opened:
        wrong = await call(opened, "decide_approval", decision="approve", **named)
        assert wrong.structured_content["code"] == "invalid_input"
        decided = await call(opened, "decide_approval", decision="edit", **named)
        assert decided.structured_content["status"] == "approved"


async def test_only_who_may_start_runs_may_cancel_one_and_only_their_own(api: RunningApi) -> None:
    async with client(api) as opened:
        foreign = await call(opened, "cancel_run", run_id="run_00000000000000000000000000")
        assert foreign.structured_content["code"] == "not_found"
    async with client(api, await api.new_key("viewer")) as opened:
        refused = await call(opened, "cancel_run", run_id="run_00000000000000000000000000")
        assert refused.structured_content["code"] == "forbidden"


async def test_a_viewer_sees_and_does_only_what_a_viewer_may(api: RunningApi) -> None:
    async with client(api, await api.new_key("viewer")) as opened:
        offered = {tool.name for tool in (await opened.list_tools()).tools}
        assert offered == {"follow_run", "list_approvals", "search_runbooks"}
        refused = await call(opened, "start_run", goal="x")
        assert (refused.is_error, refused.structured_content["code"]) == (True, "forbidden")


async def test_a_key_without_rights_is_offered_nothing_and_told_what_it_lacks(api: RunningApi) -> None:
    await (api.http()).put("/v1/roles/meter", json={"permissions": ["metrics:read"]})
    async with client(api, await api.new_key("meter")) as opened:
        assert (await opened.list_tools()).tools == []
        refused = await call(opened, "list_approvals")
        assert refused.structured_content["code"] == "forbidden"
        assert "approvals:read" in refused.structured_content["message"]


async def test_another_tenant_sees_nothing_of_this_one(api: RunningApi) -> None:
    asked = await ask(api)
    await make_tenant(api, "elsewhere")
    async with client(api, await api.new_key("admin", tenant="elsewhere")) as opened:
        followed = await call(opened, "follow_run", run_id=asked.run_id, wait_s=0)
        assert followed.structured_content["code"] == "not_found"
        assert (await call(opened, "list_approvals")).structured_content == {"approvals": []}
        named = {"approval_id": asked.id, "digest": asked.digest, "decision": "approve"}
        assert (await call(opened, "decide_approval", **named)).structured_content["code"] == "not_found"


async def test_runbooks_are_found_and_wrong_arguments_are_named(api: RunningApi) -> None:
    draft = DocumentDraft(id="disk", text="# Disk full\n\nRotate the logs of the database host.\n")
    await PostgresLibrary(database=api.services.database).ingest("default", [draft], author="test")
    async with client(api) as opened:
        found = (
            await call(opened, "search_runbooks", query="rotate logs of a database host")
        ).structured_content
        assert found["hits"][0]["document"]["id"] == "disk"
        assert (await call(opened, "search_runbooks", query="")).structured_content["code"] == "bad_arguments"
        assert (await call(opened, "follow_run", run_id="run_00000000000000000000000000")).is_error


async def test_without_a_key_there_is_no_server(api: RunningApi) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert (await api.stranger().post("/v1/mcp", json=message)).status_code == 401
    http = api.http()
    assert (await http.post("/v1/mcp", json={"jsonrpc": "2.0", "method": "x"})).status_code == 202
    unknown = await http.post("/v1/mcp", json={**message, "method": "resources/list"})
    assert unknown.json()["error"]["code"] == -32601
    assert (await http.get("/v1/mcp")).status_code == 405
