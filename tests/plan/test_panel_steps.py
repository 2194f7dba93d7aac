"""A panel inside a plan: what cannot sit, what is asked, and what people's words mean."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.llm.drafts import StepDraft, step_from
from holdfast.llm.panels.seats import Bench
from holdfast.plan.checks import findings_in
from holdfast.plan.graph import dependencies
from holdfast.plan.panels import asked_by, brief, decided_by_people, panel_id_for, settled
from schemas.agents import RunLimits
from schemas.approvals import Approval, ApprovalStatus, ApprovalSubject, ApprovalSummary, HumanDecision
from schemas.chat import TaskClass
from schemas.models import Deployment, ModelSettings, Route
from schemas.panels import ConsensusRequest, PanelMethod, PanelRequest, PanelResult, Voice, VoiceAnswer
from schemas.plans import PanelStep, Plan, StepState
from schemas.runs import StepOutcome
from schemas.tools import Catalogue

DIGEST = "sha256:" + "0" * 64


def step(**fields: Any) -> PanelStep:
    return PanelStep.model_validate({"id": "ask", "question": "Is it safe?", **fields})


def result(**fields: Any) -> PanelResult:
    return PanelResult(id="panel_1", tenant="default", question="?", method=PanelMethod.VOTE, **fields)


def decided(*comments: str, status: ApprovalStatus = ApprovalStatus.APPROVED) -> Approval:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    votes = tuple(
        HumanDecision(approver=f"user:{n}", decision="approve", digest=DIGEST, comment=text, at=at)
        for n, text in enumerate(comments)
    )
    return Approval(
        id="apr_" + "0" * 26,
        tenant="default",
        run_id="run_" + "0" * 26,
        subject=ApprovalSubject.STEP,
        digest=DIGEST,
        summary=ApprovalSummary(what="?"),
        status=status,
        created_at=at,
        expires_at=at,
        decisions=votes,
    )


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"method": "vote", "choices": ["yes"]}, "at least two choices"),
        ({"choices": ["yes", "yes"]}, "given twice"),
        ({"voices": [{"name": "a"}, {"name": "a"}]}, "one name"),
        ({"voices": [{"role": "You doubt."}]}, "live_floor asks for 2 voices and the panel has 1"),
        ({"voices": [{}], "live_floor": 1, "method": "rubric"}, "nobody to rank it"),
    ],
)
def test_a_panel_that_cannot_sit_is_a_finding(fields: dict[str, Any], word: str) -> None:
    plan = Plan(steps=(step(**fields),))
    [finding] = findings_in(plan, catalogue=Catalogue(), inputs={}, limits=RunLimits())
    assert finding.code == "bad_panel"
    assert word in finding.message
    with pytest.raises(ValidationError, match=word):
        ConsensusRequest.model_validate({"question": "?", **fields})


def test_a_panel_waits_for_what_it_reads_and_shows_what_is_no_text_as_json() -> None:
    asking = step(question="Is ${steps.find.output.name} safe?", context="${steps.look.output}")
    assert dependencies(asking) == {"find", "look"}
    outcomes = {"find": {"output": {"name": "web-3"}}, "look": {"output": {"load": 2}}}
    request = asked_by(asking, {"steps": outcomes})
    assert (request.question, request.context) == ("Is web-3 safe?", '{\n "load": 2\n}')


def test_a_panel_has_one_name_for_one_question_in_one_place() -> None:
    request = PanelRequest(question="?")
    same = {panel_id_for("run", "ask", request, generation=0, attempt=1) for _ in range(2)}
    others = {
        panel_id_for("run", "ask", PanelRequest(question="!"), generation=0, attempt=1),
        panel_id_for("run", "ask", request, generation=1, attempt=1),
        panel_id_for("run", "ask", request, generation=0, attempt=2),
        panel_id_for("other", "ask", request, generation=0, attempt=1),
    }
    assert len(same | others) == 5


def test_what_goes_through_history_is_bounded() -> None:
    voices = tuple(
        VoiceAnswer(voice=f"v{n}", deployment="d", state="answered", text="x" * 60_000) for n in range(15)
    )
    large = result(answer="y" * 60_000, voices=voices, dissent=("z" * 60_000,) * 14)
    assert len(brief(large).model_dump_json()) < 32_000
    outcome = settled(brief(large), untrusted=False)
    assert len(outcome.model_dump_json()) < 32_000
    assert outcome.output["answer"].endswith("… (60000 characters)")


@pytest.mark.parametrize(
    ("comments", "leading", "answer", "choice"),
    [
        (["no"], "yes", "no", "no"),
        ([""], "yes", "because", "yes"),
        (["I looked"], "yes", "because", "yes"),
        (["no", "no"], None, "no", "no"),
    ],
)
def test_peoples_words_are_the_answer_where_they_name_a_choice(
    comments: list[str], leading: str | None, answer: str, choice: str
) -> None:
    request = PanelRequest(question="?", choices=("yes", "no"))
    said = result(choice=leading, answer="because" if leading else "", escalate=True)
    outcome = decided_by_people(request, said, decided(*comments), untrusted=True)
    assert outcome.state is StepState.SUCCEEDED
    assert (outcome.output["answer"], outcome.output["choice"]) == (answer, choice)
    assert outcome.output["decided_by"] == "human"
    assert outcome.untrusted is (answer == "because")  # what people wrote is not from outside


@pytest.mark.parametrize("comments", [["yes", "no"], ["maybe"], [""]])
def test_a_yes_to_nothing_is_no_answer(comments: list[str]) -> None:
    request = PanelRequest(question="?", choices=("yes", "no"))
    outcome = decided_by_people(request, result(escalate=True), decided(*comments), untrusted=False)
    assert outcome == StepOutcome(state=StepState.FAILED, error=outcome.error)
    assert outcome.error is not None
    assert "yes, no" in outcome.error.message


def test_a_model_writes_a_panel_in_few_words() -> None:
    roles = ["You are its operator.", "You answer for its users."]
    draft = StepDraft(id="ask", kind="panel", question="Safe?", choices=["yes", "no"], roles=roles)
    written = step_from(draft, {})
    assert isinstance(written, PanelStep)
    assert (written.method, written.choices) == (PanelMethod.VOTE, ("yes", "no"))
    assert [voice.role for voice in written.voices] == roles
    with pytest.raises(ValueError, match="one role is no panel"):
        step_from(StepDraft(id="ask", kind="panel", question="Safe?", roles=roles[:1]), {})


def settings(*route: str) -> ModelSettings:
    deployments = tuple(Deployment(name=name, model=f"test/{name}") for name in ("a", "b", "c"))
    return ModelSettings(deployments=deployments, routes={TaskClass.PANEL: Route(deployments=route)})


def test_seats_are_named_filled_in_turn_and_never_shared() -> None:
    bench = Bench(settings=settings("b", "c"))
    asked = (
        Voice(),
        Voice(name="voice-1"),
        Voice(model="test/a"),
        Voice(role="You doubt."),
        Voice(model="z"),
    )
    seats = bench.seats(asked)
    assert [seat.name for seat in seats] == ["voice-2", "voice-1", "voice-3", "voice-4", "voice-5"]
    assert [seat.deployment for seat in seats] == ["b", "c", "a", "b", "z"]
    assert [bool(seat.problem) for seat in seats] == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("route", "sitting"), [(("b", "c"), ["b", "c"]), (("b",), ["a", "b", "c"]), ((), ["a", "b", "c"])]
)
def test_without_voices_every_model_that_serves_panels_sits_once(
    route: tuple[str, ...], sitting: list[str]
) -> None:
    assert [seat.name for seat in Bench(settings=settings(*route)).seats(())] == sitting


def test_without_models_nobody_sits() -> None:
    bench = Bench(settings=ModelSettings())
    assert bench.seats(()) == ()
    [seat] = bench.seats((Voice(role="You doubt."),))
    assert seat.problem == "No model for panels is configured; there is none."
