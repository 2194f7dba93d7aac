"""Questions to panels over HTTP, as far as no worker is needed: accepted once, durable, and apart."""

from http import HTTPStatus
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.panels import PostgresPanelBook
from holdfast.client import Holdfast
from holdfast.errors import Forbidden, NotFound
from holdfast.ids import new_id
from schemas.panels import ConsensusRequest, PanelMethod, PanelResult, VoiceAnswer
from tests.api.conftest import RunningApi, end_run, make_tenant, tell

QUESTION = {"question": "May ${inputs.x} be rebooted?", "method": "vote", "choices": ["yes", "no"]}


def voice(name: str, choice: str, **fields: Any) -> VoiceAnswer:
    return VoiceAnswer(
        voice=name,
        deployment=name,
        state="answered",
        text="so",
        choice=choice,
        agrees=choice == "yes",
        **fields,
    )


def said(run_id: str, *voices: VoiceAnswer, step: str = "panel", tenant: str = "default") -> PanelResult:
    agreeing = [one for one in voices if one.agrees]
    return PanelResult(
        id=new_id("panel"),
        tenant=tenant,
        run_id=run_id,
        step_id=step,
        question="May it?",
        method=PanelMethod.VOTE,
        answer="so",
        choice="yes",
        score=len(agreeing) / len(voices),
        voices=voices,
        live=len(voices),
        cost_usd=0.5,
        latency_ms=100,
    )


async def test_a_question_is_a_run_that_is_accepted_once(api: RunningApi) -> None:
    http = api.http()
    first, again = [
        await http.post("/v1/consensus", json=QUESTION, headers={"Idempotency-Key": "reboot"})
        for _ in range(2)
    ]
    assert first.status_code == again.status_code == HTTPStatus.ACCEPTED
    assert first.json() == again.json()
    asked = first.json()
    assert (asked["status"], asked["question"]) == ("queued", QUESTION["question"])
    assert first.headers["Location"] == f"/v1/consensus/{asked['id']}"
    other = await http.post(
        "/v1/consensus", json={**QUESTION, "rounds": 3}, headers={"Idempotency-Key": "reboot"}
    )
    assert other.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    plan = (await http.get(f"/v1/runs/{asked['id']}")).json()
    assert plan["goal"] == QUESTION["question"]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"choices": ["yes"]}, "at least two choices"),
        ({"voices": [{"model": "a"}]}, "live_floor asks for 2"),
        ({"voices": [{"name": "a"}, {"name": "a"}]}, "two voices have one name"),
        ({"voices": [{"modell": "a"}]}, "modell"),
        ({"question": "   "}, "question"),
        ({"escalate": "perhaps"}, "escalate"),
    ],
)
async def test_what_cannot_be_meant_is_refused(api: RunningApi, wrong: dict[str, Any], word: str) -> None:
    answer = await api.http().post("/v1/consensus", json={**QUESTION, **wrong})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert word in answer.text


async def test_only_who_may_start_runs_may_ask_and_only_where_they_may(api: RunningApi) -> None:
    viewer: Holdfast = api.client(await api.new_key("viewer"))
    request = ConsensusRequest.model_validate(QUESTION)
    with pytest.raises(Forbidden):
        await viewer.panels.ask(request)
    staging = api.client(await api.new_key("operator", environments=("staging",)))
    with pytest.raises(Forbidden):
        await staging.panels.ask(request)
    asked = await api.client().panels.ask(request)
    with pytest.raises(NotFound):
        await staging.panels.read(asked.id)
    assert (await viewer.panels.read(asked.id)).id == asked.id


async def test_what_a_panel_said_is_read_by_its_run_and_by_its_own_id(api: RunningApi) -> None:
    holdfast = api.client()
    asked = await holdfast.panels.ask(ConsensusRequest.model_validate(QUESTION))
    result = said(asked.id, voice("one", "yes"), voice("two", "yes"), voice("liar", "no"))
    await PostgresPanelBook(database=api.services.database).keep(result)
    by_run, by_panel = await holdfast.panels.read(asked.id), await holdfast.panels.read(result.id)
    assert by_run == by_panel
    assert (by_run.choice, by_run.decided_by) == ("yes", "panel")
    assert by_run.result is not None
    assert by_run.result.voices == result.voices
    found = [one async for one in holdfast.panels.all(run_id=asked.id)]
    assert [one.id for one in found] == [result.id]


async def test_what_people_decided_is_told(api: RunningApi) -> None:
    holdfast = api.client()
    asked = await holdfast.panels.ask(ConsensusRequest.model_validate(QUESTION))
    split = said(asked.id, voice("one", "yes"), voice("two", "no")).model_copy(
        update={"escalate": True, "reason": "a tie"}
    )
    await PostgresPanelBook(database=api.services.database).keep(split)
    assert (await holdfast.panels.read(asked.id)).decided_by is None
    output = {
        "panel_id": split.id,
        "decided_by": "human",
        "choice": "no",
        "answer": "no",
        "approvers": ["user:a"],
    }
    async with api.services.database.tenant("default") as connection:
        await connection.execute(
            """select tell(%s, jsonb_build_array(jsonb_build_object('key', 'x', 'type', 'step.succeeded',
                 'step_id', 'panel', 'data', jsonb_build_object('outcome', jsonb_build_object('output', %s::jsonb)))))""",
            (asked.id, Jsonb(output)),
        )
    decided = await holdfast.panels.read(asked.id)
    assert (decided.choice, decided.decided_by, decided.approvers) == ("no", "human", ("user:a",))


async def test_a_run_without_a_question_is_no_consensus(api: RunningApi) -> None:
    run = (await api.http().post("/v1/runs", json={"goal": "look around"})).json()
    with pytest.raises(NotFound):
        await api.client().panels.read(run["id"])
    await tell(api, run["id"], "run.ended", status="succeeded")


async def test_what_a_panel_said_goes_with_its_run(api: RunningApi) -> None:
    holdfast = api.client()
    asked = await holdfast.panels.ask(ConsensusRequest.model_validate(QUESTION))
    result = said(asked.id, voice("one", "yes"), voice("two", "yes"))
    await PostgresPanelBook(database=api.services.database).keep(result)
    await end_run(api, asked.id)
    await holdfast.runs.delete(asked.id)
    for gone in (asked.id, result.id):
        with pytest.raises(NotFound):
            await holdfast.panels.read(gone)
    assert [one async for one in holdfast.panels.all(run_id=asked.id)] == []


async def test_analytics_are_the_tenants_own(api: RunningApi) -> None:
    await make_tenant(api, "panelled")
    book = PostgresPanelBook(database=api.services.database)
    for _ in range(3):
        result = said(
            new_id("run"), voice("one", "yes"), voice("two", "yes"), voice("liar", "no"), tenant="panelled"
        )
        await book.keep(result)
    holdfast = api.client(await api.new_key("viewer", tenant="panelled"))
    seen = await holdfast.panels.analytics(days=7)
    assert (seen.panels, seen.scores) == (3, {"0.6": 3})
    assert seen.agreement["one"] == {"liar": 0.0, "two": 1.0}
    assert seen.reliability == {"liar": 0.0, "one": 1.0, "two": 1.0}
    assert (seen.cost_by_method, seen.latency_by_method) == ({"vote": 0.5}, {"vote": 100.0})
    bound = api.client(await api.new_key("viewer", tenant="panelled", environments=("dev",)))
    assert (await bound.panels.analytics()).panels == 0
