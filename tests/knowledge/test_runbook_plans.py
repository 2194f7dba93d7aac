"""Runbooks become plans that pass the same checks as any other plan."""

from pathlib import Path
from typing import Any, cast

import pytest

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.errors import InvalidInput
from holdfast.knowledge.linting import lint_runbook
from holdfast.knowledge.planner import RunbookPlanner
from holdfast.knowledge.planning import plan_from_runbook
from holdfast.knowledge.runbooks import parse_runbook
from holdfast.plan.checks import findings_in
from holdfast.tools.builtin import sandboxed_tools
from schemas.agents import AgentSpec, RunLimits
from schemas.knowledge import DocumentDraft, Severity
from schemas.plans import ApprovalStep, Plan, StepState, ToolStep, WaitStep
from schemas.runs import StepOutcome
from schemas.stages import AnswerRequest, PlanRequest, RunScope
from schemas.tools import Catalogue

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "runbooks").glob("*.md"))
SCOPE = RunScope(
    tenant="default", run_id="run_00000000000000000000000001", agent="operator", environment="dev"
)


class _Unused:
    """The tools are only described here; nothing is run."""


SHIPPED = tuple(tool.spec for tool in sandboxed_tools(cast("Any", _Unused())))
CATALOGUE = Catalogue(tools=SHIPPED)


def _plan(text: str, goal: str = "do it", **inputs: object) -> Plan:
    proposal = plan_from_runbook(parse_runbook("book", text), goal, inputs, CATALOGUE)
    assert proposal.plan is not None, proposal.note
    return proposal.plan


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_clean_and_its_plan_holds_together(path: Path) -> None:
    text = path.read_text()
    assert [finding for finding in lint_runbook(path.stem, text) if finding.severity is Severity.ERROR] == []
    plan = _plan(text, goal="look at port 8080")
    assert findings_in(plan, catalogue=CATALOGUE, inputs={}, limits=RunLimits()) == []


def test_steps_follow_each_other_unless_they_say_what_they_need() -> None:
    plan = _plan("```shell id=a\ntrue\n```\n```shell id=b\ntrue\n```\n```shell id=c needs=a\ntrue\n```\n")
    assert [step.depends_on for step in plan.steps] == [(), ("a",), ("a",)]


def test_what_is_expected_is_a_condition_where_it_reads_the_output_and_words_elsewhere() -> None:
    text = (
        "---\ninputs:\n  n: {type: integer}\n---\n"
        '```shell id=a expect="${output.exit_code} == ${inputs.n}"\ntrue\n```\n'
        '```shell id=b expect="a list of files"\nls\n```\n'
    )
    first, second = _plan(text, n=3).steps
    assert isinstance(first, ToolStep)
    assert isinstance(second, ToolStep)
    assert (first.expect, second.expect) == ("${output.exit_code} == 3", None)
    assert "Expected: a list of files." in second.why


def test_an_input_is_one_quoted_word_in_a_shell_block() -> None:
    text = "---\ninputs:\n  name: {type: text}\n---\n```shell id=a\nls -- ${inputs.name} ${HOME}\n```\n"
    step = _plan(text, name="a; rm -rf /").steps[0]
    assert isinstance(step, ToolStep)
    assert step.arguments["command"] == "ls -- 'a; rm -rf /' $${HOME}"


def test_a_value_cannot_smuggle_a_reference_in() -> None:
    text = "---\ninputs:\n  name: {type: text}\n---\n```tool sys.logs id=a\nlines: ${inputs.name}\n```\n"
    step = _plan(text, name="${steps.secret.output}").steps[0]
    assert isinstance(step, ToolStep)
    assert step.arguments["lines"] == "$${steps.secret.output}"


def test_an_input_keeps_its_type_where_it_is_the_whole_argument() -> None:
    text = "---\ninputs:\n  n: {type: integer}\n---\n```tool sys.logs id=a\nlines: ${inputs.n}\n```\n"
    step = _plan(text, n="25").steps[0]
    assert isinstance(step, ToolStep)
    assert step.arguments == {"lines": 25}


@pytest.mark.parametrize(
    ("kind", "goal", "value"),
    [
        ("path", "the disk under /var/log fills up", "/var/log"),
        ("integer", "port 8080 is taken, x = 12", 12),
        ("host", "ping db-1.example.org please", "db-1.example.org"),
        ("service", "the service nginx is down", "nginx"),
        ("service", "is the nginx service down?", "nginx"),
    ],
)
def test_a_goal_that_mentions_an_input_gives_it(kind: str, goal: str, value: object) -> None:
    text = f"---\ninputs:\n  x: {{type: {kind}}}\n---\n```tool sys.logs id=a\nlines: ${{inputs.x}}\n```\n"
    step = _plan(text, goal).steps[0]
    assert isinstance(step, ToolStep)
    assert step.arguments == {"lines": value}


def test_what_nobody_gave_is_asked_for_with_its_description() -> None:
    text = "---\ninputs:\n  host: {type: host, description: Where it runs}\n---\n```shell id=a\ntrue\n```\n"
    proposal = plan_from_runbook(parse_runbook("book", text), "do it", {}, CATALOGUE)
    assert proposal.plan is None
    assert proposal.missing == ("host",)
    assert "Where it runs" in proposal.note


def test_gates_and_waits_are_steps_of_their_own_kind() -> None:
    plan = _plan("```approval id=ok group=dba\nGo on?\n```\n```wait id=rest seconds=5\n```\n")
    gate, rest = plan.steps
    assert isinstance(gate, ApprovalStep)
    assert (gate.message, gate.group) == ("Go on?", "dba")
    assert isinstance(rest, WaitStep)
    assert rest.seconds == 5


def test_a_plain_runbook_runs_block_by_block_and_asks_for_its_placeholders() -> None:
    text = "# Pod\n\n```shell\n$ kubectl describe pod <pod name>\nName: x\n```\n"
    book = parse_runbook("pod", text)
    assert not book.annotated
    assert plan_from_runbook(book, "go", {}, CATALOGUE).missing == ("pod_name",)
    step = _plan(text, pod_name="a b").steps[0]
    assert isinstance(step, ToolStep)
    assert step.arguments["command"] == "kubectl describe pod 'a b'"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```shell id=a\nrm -rf /tmp/x\n```\n", "risk_unsaid"),
        ("```shell id=a needs=b\ntrue\n```\n", "unknown_need"),
        ("```shell id=a\necho ${inputs.x}\n```\n", "unknown_input"),
        ("```shell id=a\ntrue\n```\n```shell id=a\ntrue\n```\n", "duplicate_step"),
        ("```shell id=A\ntrue\n```\n", "step_id"),
        ("```shell id=a risk=huge\ntrue\n```\n", "attributes"),
        ("```shell id=a colour=red\ntrue\n```\n", "unknown_attribute"),
        ("```tool id=a\n```\n", "no_tool"),
        ("```shell id=a\ntrue\n```\n```shell id=b\necho ${steps.a.output}\n```\n", "reference_in_code"),
        ("---\nanswer: ${steps.z.output}\n---\n```shell id=a\ntrue\n```\n", "dangling_reference"),
        ("---\n: [\n---\ntext", "front_matter"),
        ("# only words\n", "not_annotated"),
    ],
)
def test_lint_names_what_is_wrong(text: str, code: str) -> None:
    assert code in {finding.code for finding in lint_runbook("book", text)}


def test_lint_findings_carry_the_line_of_the_file() -> None:
    text = "---\nsummary: s\n---\n# T\n\n```shell id=a needs=b\ntrue\n```\n"
    (finding,) = [each for each in lint_runbook("book", text) if each.severity is Severity.ERROR]
    assert finding.line == 6


def test_a_runbook_with_an_error_is_refused_and_names_it() -> None:
    with pytest.raises(InvalidInput, match="line 1"):
        parse_runbook("book", "```shell id=A\ntrue\n```\n")


@pytest.fixture
async def planner(database: Database) -> RunbookPlanner:
    library = PostgresLibrary(database=database)
    drafts = [DocumentDraft(id=path.stem, text=path.read_text()) for path in EXAMPLES]
    assert (await library.ingest("default", drafts, author="ann")).failures == ()
    return RunbookPlanner(library=library)


def _request(goal: str, **more: object) -> PlanRequest:
    return PlanRequest.model_validate(
        {"scope": SCOPE, "goal": goal, "agent": AgentSpec(name="operator"), "catalogue": CATALOGUE, **more}
    )


async def test_the_planner_finds_the_runbook_of_a_goal_and_says_it_is_no_model(
    planner: RunbookPlanner,
) -> None:
    goal = "The disk on this host is filling up: find what uses the space and propose a clean-up"
    proposal = await planner.plan(_request(goal))
    assert proposal.plan is not None
    assert proposal.by == "runbook"
    assert proposal.plan.cites[0].id == "disk-filling-up"
    assert "not a model" in proposal.note
    assert proposal.plan.steps[0].cites[0].section == "Diagnosis"


async def test_the_planner_plans_nothing_for_a_goal_no_runbook_is_for(planner: RunbookPlanner) -> None:
    proposal = await planner.plan(_request("translate this poem into French"))
    assert proposal.plan is None
    assert "not a model" in proposal.note


async def test_a_named_runbook_is_the_one_that_runs(planner: RunbookPlanner) -> None:
    proposal = await planner.plan(_request("whatever port 22 says", runbook="port-conflict"))
    assert proposal.plan is not None
    assert proposal.plan.cites[0].id == "port-conflict"
    missing = await planner.plan(_request("x", runbook="nowhere"))
    assert missing.plan is None
    assert "nowhere" in missing.note


async def test_a_runbook_does_not_run_where_it_does_not_hold(database: Database) -> None:
    library = PostgresLibrary(database=database)
    text = "---\ntitle: Flush the cache\nenvironments: [staging]\n---\n```shell id=a\ntrue\n```\n"
    await library.ingest("default", [DocumentDraft(id="flush", text=text)], author="ann")
    proposal = await RunbookPlanner(library=library).plan(_request("x", runbook="flush"))
    assert proposal.plan is None
    assert "staging" in proposal.note


async def test_the_answer_fills_the_template_or_tells_each_step(planner: RunbookPlanner) -> None:
    plan = _plan("---\nanswer: 'Says ${steps.a.output.stdout}'\n---\n```shell id=a title=Look\ntrue\n```\n")
    done = {"a": StepOutcome(state=StepState.SUCCEEDED, output={"stdout": "42"}, summary="ran")}
    request = AnswerRequest(
        scope=SCOPE, goal="look", agent=AgentSpec(name="operator"), plan=plan, outcomes=done
    )
    assert (await planner.answer(request)).text == "Says 42"
    empty = request.model_copy(
        update={"outcomes": {"a": StepOutcome(state=StepState.FAILED, summary="broke")}}
    )
    assert "Look — failed: broke" in (await planner.answer(empty)).text
