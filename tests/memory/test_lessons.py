"""Lessons are drawn by rules, from evidence and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.memory.contexts import thread_as_recalled, tokens_in, within
from holdfast.memory.contradiction import relation
from holdfast.memory.lessons import lessons_of
from holdfast.memory.scoring import chosen, freshness, match_of, score
from holdfast.memory.signatures import goal_kind
from schemas.memory import (
    Call,
    Correction,
    Cues,
    Evidence,
    MemoryContent,
    MemoryItem,
    MemoryKind,
    MemoryStatus,
    RecallSettings,
    Signature,
    Trust,
)
from schemas.runs import RunStatus
from schemas.stages import LearnRequest, RunScope

REQUEST = LearnRequest(
    scope=RunScope(
        tenant="default", run_id="run_00000000000000000000000001", agent="operator", environment="prod"
    ),
    goal="Restart web-1",
    status=RunStatus.SUCCEEDED,
)
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def _lessons(*calls: Call, corrections: tuple[Correction, ...] = ()) -> list[MemoryContent]:
    evidence = Evidence(calls=calls, corrections=corrections)
    return lessons_of(REQUEST, evidence, runbook="", status=MemoryStatus.ACTIVE)


def _item(content: MemoryContent, *, days: float = 0, helped: int = 0, hurt: int = 0) -> MemoryItem:
    at = NOW - timedelta(days=days)
    return MemoryItem(
        id="mem_00000000000000000000000001", version=1, digest="sha256:" + "0" * 64, content=content, used=helped + hurt,
        helped=helped, hurt=hurt, created_at=at, changed_at=at, confirmed_at=at,
    )  # fmt: skip


def _content(kind: MemoryKind = MemoryKind.LESSON, **more: object) -> MemoryContent:
    return MemoryContent.model_validate({"kind": kind, "status": "active", "text": "t", **more})


def test_a_run_without_failures_teaches_no_lesson() -> None:
    assert _lessons(Call(step_id="a", tool="t", ok=True)) == []


def test_what_worked_after_a_failure_is_the_lesson() -> None:
    (lesson,) = _lessons(
        Call(step_id="a", tool="t", arguments={"x": 1}, ok=False, error="busy"),
        Call(step_id="b", tool="t", arguments={"x": 2}, ok=True),
    )
    assert lesson.data["do"] == {"x": 2}
    assert lesson.signature.error == "busy"


def test_the_same_call_made_again_is_luck_and_no_fix() -> None:
    (lesson,) = _lessons(
        Call(step_id="a", tool="t", arguments={"x": 1}, ok=False, error="busy"),
        Call(step_id="b", tool="t", arguments={"x": 1}, ok=True),
    )
    assert lesson.data["rule"] == "constraint"


def _shell(step: str, command: str, *, ok: bool) -> Call:
    error = "" if ok else "exit_1"
    return Call(step_id=step, tool="shell", arguments={"command": command}, ok=ok, error=error)


def test_of_commands_what_was_done_next_is_no_fix_and_the_same_made_better_is() -> None:
    (lesson,) = _lessons(
        _shell("a", "kubectl drain n-1", ok=False),
        _shell("b", "kubectl get pods", ok=True),
        _shell("c", "kubectl drain n-1 --ignore-daemonsets", ok=True),
    )
    assert lesson.data["do"] == {"command": "kubectl drain n-1 --ignore-daemonsets"}
    assert lesson.data["programs"] == ["kubectl drain"]


def test_two_commands_that_fail_teach_two_lessons() -> None:
    lessons = _lessons(_shell("a", "kubectl drain n-1", ok=False), _shell("b", "helm upgrade a b", ok=False))
    assert [lesson.data["programs"] for lesson in lessons] == [["kubectl drain"], ["helm upgrade"]]


def test_the_next_of_two_that_the_goal_names_is_no_fix() -> None:
    evidence = Evidence(
        calls=(
            Call(step_id="a", tool="restart", arguments={"host": "web-1"}, ok=False, error="busy"),
            Call(step_id="b", tool="restart", arguments={"host": "web-2"}, ok=True),
        )
    )
    request = REQUEST.model_copy(update={"goal": "Restart web-1 and web-2"})
    (lesson,) = lessons_of(request, evidence, runbook="", status=MemoryStatus.ACTIVE)
    assert lesson.data["rule"] == "constraint"


def test_a_refusal_holds_in_its_environment_only() -> None:
    (lesson,) = _lessons(Call(step_id="a", tool="t", ok=False, error="denied", message="no", refused=True))
    assert (lesson.data["rule"], lesson.scope.environment) == ("refused", "prod")


def test_an_edited_approval_is_what_people_want() -> None:
    edit = Correction(tool="t", before={"n": 5, "m": 1}, after={"n": 2, "m": 1}, approver="ann")
    (lesson,) = _lessons(corrections=(edit,))
    assert lesson.trust is Trust.HUMAN
    assert '{"n": 2} instead of {"n": 5}' in lesson.text


def test_a_rejection_keeps_its_reason() -> None:
    (lesson,) = _lessons(corrections=(Correction(tool="t", comment="too early"),))
    assert "too early" in lesson.text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Restart the web service on host-17", "restart web services on db-9.example.org"),
        ("Clean /var/log please", "Can you clean /srv/data"),
    ],
)
def test_goals_that_differ_in_names_alone_are_of_one_kind(one: str, other: str) -> None:
    assert goal_kind(one) == goal_kind(other)


def test_goals_that_want_the_contrary_are_of_two_kinds() -> None:
    assert goal_kind("start the web service") != goal_kind("stop the web service")


def test_recency_is_added_and_facts_do_not_fade() -> None:
    settings = RecallSettings(half_life_days=10)
    episode = _item(_content(MemoryKind.EPISODE), days=10)
    assert freshness(episode, NOW, settings) == pytest.approx(0.5)
    assert freshness(_item(_content(MemoryKind.FACT), days=10), NOW, settings) == 0
    old = score(_item(_content(), days=10_000), match="like", relevant=0.9, now=NOW, settings=settings)
    new = score(_item(_content()), match="like", relevant=0.7, now=NOW, settings=settings)
    assert old.score > new.score


def test_what_hurt_ranks_below_what_helped() -> None:
    settings = RecallSettings()
    scores = [
        score(
            _item(_content(), helped=helped, hurt=hurt),
            match="like",
            relevant=0.7,
            now=NOW,
            settings=settings,
        ).score
        for helped, hurt in ((3, 0), (0, 0), (0, 3))
    ]
    assert scores == sorted(scores, reverse=True)


def test_another_error_of_the_same_tool_is_no_match() -> None:
    item = _item(_content(signature=Signature(tool="t", error="busy")))
    assert match_of(item, Cues(text="x", tools=("t",), error="busy"), "") == "signature"
    assert match_of(item, Cues(text="x", tools=("t",)), "") == "related"
    assert match_of(item, Cues(text="x", tools=("t",), error="gone"), "") == "like"


def test_likeness_alone_needs_to_be_near() -> None:
    settings = RecallSettings()
    far = score(_item(_content()), match="like", relevant=0.5, now=NOW, settings=settings)
    near = score(_item(_content()), match="like", relevant=0.7, now=NOW, settings=settings)
    assert chosen([far, near], settings) == [near]


def test_less_trust_never_replaces_more() -> None:
    about = {"subject": "db", "attribute": "owner"}
    standing = _item(_content(MemoryKind.FACT, text="Ann", data=about, trust=Trust.HUMAN))
    said = _content(MemoryKind.FACT, text="Eve", data=about, trust=Trust.EXTERNAL)
    assert relation(said, [standing]).relation == "outranked"
    assert relation(said.model_copy(update={"trust": Trust.HUMAN}), [standing]).relation == "supersedes"


def test_a_long_conversation_is_told_shorter_the_older_it_is() -> None:
    rows = [
        {"id": f"run_{at}", "goal": f"goal {at} " + "x" * 300, "status": "succeeded", "answer": "y" * 2000}
        for at in range(30)
    ]
    told = thread_as_recalled(rows, runs=97)
    assert len(told) == 13
    sizes = [tokens_in(item.text) for item in told]
    assert sizes[1] > 4 * sizes[3]
    assert "85 runs" in told[0].text
    assert "goal 29" in told[0].text
    assert all(item.untrusted for item in told)
    assert sum(sizes) < 2_500
    assert thread_as_recalled([], runs=0) == []


@pytest.mark.parametrize("runs", [17, 40])
def test_what_sums_up_a_long_conversation_is_never_what_a_budget_leaves_out(runs: int) -> None:
    rows = [
        {"id": f"run_{at}", "goal": f"goal {at} " + "x" * 2000, "status": "succeeded", "answer": "y" * 2000}
        for at in range(runs)
    ]
    told = within(2_000, thread_as_recalled(rows, runs=runs))
    assert f"{runs - 12} runs" in told[0].text
    assert [item.cite.id for item in told[1:3]] == ["run_0", "run_1"]
    assert sum(tokens_in(item.text) + 20 for item in told) <= 2_000
