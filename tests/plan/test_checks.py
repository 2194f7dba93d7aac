"""What can be known to be wrong with a plan, and what must not be called wrong."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.plan.checks import findings_in
from schemas.agents import RunLimits
from schemas.plans import AgentStep, ApprovalStep, Compensation, Plan, Step, ToolStep, WaitStep
from schemas.tools import Catalogue, EffectClass, ToolSpec

LOOK = ToolSpec(
    name="look",
    description="looks",
    effect=EffectClass.READ_ONLY,
    input_schema={
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "depth": {"type": "integer", "minimum": 1},
            "how": {"enum": ["fast", "slow", ["a", "b"]]},
            "where": {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"port": {"type": "integer"}},
                        "additionalProperties": False,
                    },
                    {"type": "null"},
                ]
            },
        },
        "required": ["path"],
        "additionalProperties": False,
    },
)


def look(name: str, arguments: dict[str, Any] | None = None, **fields: Any) -> ToolStep:
    return ToolStep(
        id=name, tool="look", arguments={"path": "/"} if arguments is None else arguments, **fields
    )


def codes(*steps: Step, **fields: Any) -> list[tuple[str | None, str]]:
    found = findings_in(
        Plan(steps=steps),
        catalogue=Catalogue(tools=(LOOK,)),
        inputs=fields.pop("inputs", {}),
        limits=RunLimits(**fields),
        agents=("helper",),
    )
    return [(finding.step, finding.code) for finding in found]


def test_a_sound_plan_has_no_findings() -> None:
    assert not codes(
        look("a", {"path": "${inputs.path}", "depth": 2}),
        look(
            "b",
            {"path": "${item}", "depth": "${steps.a.output.n}"},
            for_each="${steps.a.output.items}",
            when="${steps.a.output.n} > 1",
            expect="${output.n} == ${item}",
            compensation=Compensation(tool="look", arguments={"path": "${steps.b.output.path}"}),
        ),
        ApprovalStep(id="c", message="${steps.b.output.count} done", depends_on=("b",)),
        AgentStep(id="d", agent="helper", goal="${inputs.path}"),
        WaitStep(id="e", until="${inputs.other ?? null}"),
        inputs={"path": "/"},
    )


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (look("x", {"path": "${output.path}"}), "unreadable"),
        (look("x", expect="${output.n} =="), "unreadable"),
        (look("x", expect="${steps.none.output.n} == 1"), "dangling_reference"),
        (ToolStep(id="x", tool="lok"), "unknown_tool"),
        (look("x", {}), "bad_arguments"),
        (look("x", {"path": 1}), "bad_arguments"),
        (look("x", {"path": "/", "depth": "2"}), "bad_arguments"),
        (look("x", {"path": "/", "depht": 2}), "bad_arguments"),
        (look("x", {"path": "/", "how": ["a"]}), "bad_arguments"),
        (look("x", {"path": "/", "where": {"prt": 1}}), "bad_arguments"),
        (look("x", {"path": "${inputs.nope}"}), "missing_input"),
        (look("x", {"path": "${HOME}"}), "unreadable"),
        (look("x", {"path": "${item}"}), "unreadable"),
        (look("x", for_each="${inputs.l ?? []}", when="${item} > 1"), "unreadable"),
        (look("x", when="1 >"), "unreadable"),
        (look("x", when="${inputs.nope}"), "missing_input"),
        (look("x", {"path": "${steps.none.output}"}), "dangling_reference"),
        (look("x", depends_on=("none",)), "dangling_reference"),
        (look("x", for_each="a ${inputs.l ?? []}"), "bad_for_each"),
        (WaitStep(id="x", seconds=1, for_each="${inputs.l ?? []}"), "bad_for_each"),
        (look("x", compensation=Compensation(tool="undo")), "unknown_tool"),
        (look("x", compensation=Compensation(tool="look", arguments={})), "bad_arguments"),
        (
            look("x", compensation=Compensation(tool="look", arguments={"path": "${nowhere}"})),
            "unreadable",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_with_a_step_is_said_once(step: Step, code: str) -> None:
    assert codes(step) == [("x", code)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "/", "depth": "${inputs.depth}"},
        {"path": "/", "how": "${inputs.depth}"},
        {"path": "/", "how": ["a", "${inputs.depth}"]},
        {"path": "/", "where": {"port": "${inputs.depth}"}},
        {"path": "$${HOME}"},
    ],
)
def test_what_is_decided_later_is_not_called_wrong_now(arguments: dict[str, Any]) -> None:
    assert not codes(look("x", arguments), inputs={"depth": 3})


def test_what_only_explains_a_step_may_say_anything() -> None:
    assert not codes(look("x", title="clean ${HOME}", why="${"))


def test_a_step_cannot_need_one_that_comes_later() -> None:
    assert codes(look("a", depends_on=("b",)), look("b")) == [("a", "forward_reference")]


def test_a_circle_is_found_also_through_references() -> None:
    found = codes(look("a", {"path": "${steps.b.output}"}), look("b", depends_on=("a",)))
    assert found == [("a", "forward_reference"), ("a", "cycle")]


def test_the_whole_plan_has_findings_too() -> None:
    assert codes() == [(None, "empty_plan")]
    assert codes(look("a"), look("b"), steps=1) == [(None, "too_many_steps")]
    assert codes(look("a"), look("a")) == [("a", "duplicate_step")]


def test_a_step_is_handed_only_to_an_agent_that_is_known() -> None:
    assert codes(AgentStep(id="d", agent="stranger", goal="look")) == [("d", "unknown_agent")]


def test_a_schema_that_cannot_be_used_is_a_finding_and_not_an_error() -> None:
    broken = LOOK.model_copy(update={"input_schema": {"$ref": "#/nowhere"}})
    found = findings_in(
        Plan(steps=(look("x"),)), catalogue=Catalogue(tools=(broken,)), inputs={}, limits=RunLimits()
    )
    assert [(finding.step, finding.code) for finding in found] == [("x", "broken_tool")]


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_text_in_a_plan_makes_the_checks_stumble(argument: str, condition: str, items: str) -> None:
    codes(look("x", {"path": argument}, when=condition, for_each=items))


def test_a_plan_of_five_thousand_steps_is_checked_in_seconds() -> None:
    steps = [look(f"s{n}", depends_on=(f"s{n - 1}",) if n else ()) for n in range(5000)]
    assert not codes(*steps, steps=5000)


def test_a_deprecated_tool_is_told_and_no_error() -> None:
    old = LOOK.model_copy(update={"deprecated": "Use see."})
    plan = Plan(steps=(ToolStep(id="a", tool="look", arguments={"path": "x"}),))
    [finding] = findings_in(plan, catalogue=Catalogue(tools=(old,)), inputs={}, limits=RunLimits())
    assert (finding.code, finding.fatal) == ("deprecated_tool", False)
    assert finding.message == "look@1.0.0 is deprecated: Use see."
