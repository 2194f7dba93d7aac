"""The audit log: every change is in it, and no change to it goes unseen."""

import json
from collections.abc import AsyncIterator

import psycopg
import pytest

from holdfast.audit import check_chain
from schemas.access import AuditCheck, AuditLine
from schemas.runs import RunRequest
from tests.api.conftest import RunningApi, serve, temporal_is_away


async def test_every_change_is_recorded_with_who_what_and_where(api: RunningApi) -> None:
    key = await api.new_key("operator")
    async with api.http(key) as http:
        answer = await http.post("/v1/runs", json={"goal": "x"}, headers={"X-Request-Id": "request-of-mine"})
    assert answer.headers["X-Request-Id"] == "request-of-mine"
    entry = next(line for line in await entries(api) if line["request_id"] == "request-of-mine")
    assert (entry["actor"], entry["action"], entry["status"]) == (
        f"key:{key.split('_')[1]}",
        "POST /v1/runs",
        202,
    )
    assert entry["origin"] == "127.0.0.1"
    assert entry["object"] == answer.headers["Location"]


async def test_a_refused_attempt_is_recorded(api: RunningApi) -> None:
    async with api.http(await api.new_key("viewer")) as http:
        await http.delete("/v1/keys/000000000000", headers={"X-Request-Id": "refused-one"})
    entry = next(line for line in await entries(api) if line["request_id"] == "refused-one")
    assert (entry["object"], entry["status"]) == ("/v1/keys/000000000000", 403)


async def test_lines_are_found_by_who_did_what_to_which_object(api: RunningApi) -> None:
    key = await api.new_key("operator")
    async with api.http(key) as http, api.http() as admin:
        run = (await http.post("/v1/runs", json={"goal": "x"})).headers["Location"]
        await http.post(f"{run}/fork", json={})

        async def found(**query: str) -> list[str]:
            items = (await admin.get("/v1/audit", params=query)).json()["items"]
            return [json.loads(item["entry"])["action"] for item in items]

        started, forked = "POST /v1/runs", "POST /v1/runs/{run_id}/fork"
        assert await found(actor=f"key:{key.split('_')[1]}") == [started, forked]
        assert await found(object=run) == [started, forked]
        assert await found(object=run, action=forked) == [forked]
        assert await found(object=run, created_after="2100-01-01T00:00:00Z") == []


async def test_an_untouched_chain_holds(api: RunningApi) -> None:
    await api.client().runs.start(RunRequest(goal="x"))
    async with api.http() as http:
        check = AuditCheck.model_validate((await http.get("/v1/audit/verify")).json())
        exported = [
            AuditLine.model_validate_json(line)
            for line in (await http.get("/v1/audit/export")).text.splitlines()
        ]
    assert check.ok
    assert check.lines == len(exported) > 0


SWAP = """update audit_log set seq = case seq when 3 then 1004 when 4 then 1003 end where seq in (3, 4);
update audit_log set seq = seq - 1000 where seq > 1000"""


@pytest.mark.parametrize(
    ("damage", "broken_at"),
    [
        ("update audit_log set entry = replace(entry, '\"status\":201', '\"status\":403') where seq = 3", 3),
        ("delete from audit_log where seq = 2", 2),
        ("delete from audit_log where seq = (select max(seq) from audit_log)", 6),
        (SWAP, 3),
    ],
    ids=["changed", "removed", "cut off", "moved"],
)
async def test_a_damaged_chain_says_where(database_url: str, damage: str, broken_at: int) -> None:
    async with serve(database_url, temporal_is_away) as fresh, fresh.http() as http:
        for number in range(5):
            await http.post("/v1/agents", json={"name": f"a{number}"})
        assert (await http.get("/v1/audit/verify")).json()["ok"]
        async with await psycopg.AsyncConnection.connect(
            database_url, options="-c search_path=holdfast", autocommit=True
        ) as owner:
            await owner.execute(damage.encode())
        check = (await http.get("/v1/audit/verify")).json()
        exported = (await http.get("/v1/audit/export")).text
    assert (check["ok"], check["broken_at"]) == (False, broken_at)
    assert check["why"]
    assert broken_at == 6 or not (await check_chain(_parsed(exported))).ok


async def test_the_application_itself_cannot_change_a_line(api: RunningApi) -> None:
    await api.client().runs.start(RunRequest(goal="x"))
    for statement in ("update audit_log set entry = ''", "delete from audit_log", "delete from audit_heads"):
        with pytest.raises(Exception, match="permission denied"):
            async with api.services.database.tenant("default") as connection:
                await connection.execute(statement.encode())


async def entries(api: RunningApi) -> list[dict[str, object]]:
    async with api.http() as http:
        text = (await http.get("/v1/audit/export")).text
    return [json.loads(json.loads(line)["entry"]) for line in text.splitlines()]


async def _parsed(text: str) -> AsyncIterator[AuditLine]:
    for line in text.splitlines():
        yield AuditLine.model_validate_json(line)
