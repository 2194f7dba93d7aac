"""`Idempotency-Key`: the same key and body, the same answer, once."""

import asyncio

import pytest

from holdfast.adapters.postgres.idempotency import PostgresIdempotency
from holdfast.runtime.settings import RetentionSettings
from tests.api.conftest import RunningApi, serve, temporal_is_away
from workers.housekeeping import request_chores


async def test_the_same_key_and_body_get_the_same_answer_and_one_run(api: RunningApi) -> None:
    async with api.http() as http:
        body, headers = {"goal": "once", "labels": {"set": "once"}}, {"Idempotency-Key": "k-1"}
        first = await http.post("/v1/runs", json=body, headers=headers)
        again = await http.post("/v1/runs", json=body, headers=headers)
        listed = (await http.get("/v1/runs", params={"label": "set=once"})).json()["items"]
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.content == again.content
    assert first.headers["Location"] == again.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(listed) == 1


async def test_the_same_key_with_another_body_is_refused(api: RunningApi) -> None:
    async with api.http() as http:
        headers = {"Idempotency-Key": "k-2"}
        await http.post("/v1/runs", json={"goal": "one"}, headers=headers)
        other = await http.post("/v1/runs", json={"goal": "two"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "unprocessable")


async def test_a_key_belongs_to_who_sent_it(api: RunningApi) -> None:
    async with api.http() as one, api.http(await api.new_key("operator")) as other:
        headers = {"Idempotency-Key": "k-3"}
        first = await one.post("/v1/runs", json={"goal": "x"}, headers=headers)
        second = await other.post("/v1/runs", json={"goal": "x"}, headers=headers)
    assert first.json()["id"] != second.json()["id"]


async def test_many_at_once_start_one_run(api: RunningApi) -> None:
    async with api.http() as http:

        async def send() -> tuple[int, str]:
            answer = await http.post("/v1/runs", json={"goal": "race"}, headers={"Idempotency-Key": "k-race"})
            return answer.status_code, answer.json().get("id") or answer.json()["code"]

        answers = await asyncio.gather(*(send() for _ in range(20)))
    started = {found for status, found in answers if status == 202}
    assert len(started) == 1
    assert {found for status, found in answers if status != 202} <= {"idempotency_in_flight"}


async def test_a_request_whose_process_died_is_taken_up_and_finds_its_own_run(api: RunningApi) -> None:
    async with api.http() as http:
        headers = {"Idempotency-Key": "k-crash"}
        first = await http.post("/v1/runs", json={"goal": "crash"}, headers=headers)
        async with api.services.database.tenant("default") as connection:
            await connection.execute(
                """update idempotency_keys set response_status = null, response = null,
                   lease_until = now() - interval '1 second' where key = 'k-crash'"""
            )
        again = await http.post("/v1/runs", json={"goal": "crash"}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def test_a_request_under_way_is_told_to_come_back(api: RunningApi) -> None:
    store = PostgresIdempotency(database=api.services.database)
    async with api.http() as http:
        await http.post("/v1/runs", json={"goal": "busy"}, headers={"Idempotency-Key": "k-busy"})
        async with api.services.database.tenant("default") as connection:
            await connection.execute(
                """update idempotency_keys set response_status = null,
                   lease_until = now() + interval '1 minute' where key = 'k-busy'"""
            )
        busy = await http.post("/v1/runs", json={"goal": "busy"}, headers={"Idempotency-Key": "k-busy"})
    assert (busy.status_code, busy.json()["code"], busy.json()["retryable"]) == (
        409,
        "idempotency_in_flight",
        True,
    )
    assert await store.prune(older_than_s=86_400) == 0


async def test_what_failed_inside_may_be_tried_again_with_the_same_key(database_url: str) -> None:
    async with serve(database_url, temporal_is_away) as api, api.http() as http:
        for _ in range(2):
            away = await http.post("/v1/runs", json={"goal": "x"}, headers={"Idempotency-Key": "k"})
            assert (away.status_code, away.json()["code"]) == (503, "unavailable")
        assert await api.services.idempotency.prune(older_than_s=0) == 0


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
async def test_a_key_that_cannot_be_one_is_refused(api: RunningApi, key: str) -> None:
    async with api.http() as http:
        answer = await http.post("/v1/runs", json={"goal": "x"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


async def test_ten_thousand_open_keys_neither_slow_nor_stop_a_new_one(api: RunningApi) -> None:
    async with api.services.database.tenant("default") as connection:
        await connection.execute(
            """insert into idempotency_keys (tenant, route, key, request_digest, lease_until)
               select 'default', 'POST /v1/runs key:nobody', 'open-' || n, '', now() + interval '1 minute'
               from generate_series(1, 10000) n"""
        )
    async with api.http() as http:
        answer = await http.post("/v1/runs", json={"goal": "x"}, headers={"Idempotency-Key": "fresh"})
    assert answer.status_code == 202


async def test_answers_are_forgotten_by_housekeeping_when_nobody_asks_again(api: RunningApi) -> None:
    store = PostgresIdempotency(database=api.services.database)
    async with api.http() as http:
        for key in ("k-old", "k-new"):
            await http.post("/v1/runs", json={"goal": "x"}, headers={"Idempotency-Key": key})
        async with api.services.database.tenant("default") as connection:
            await connection.execute(
                "update idempotency_keys set created_at = now() - interval '25 hours' where key = 'k-old'"
            )
        (chore,) = request_chores(store, RetentionSettings()).values()
        assert await chore() == 1
        kept = await http.post("/v1/runs", json={"goal": "x"}, headers={"Idempotency-Key": "k-new"})
    assert kept.headers["Idempotency-Replayed"] == "true"
