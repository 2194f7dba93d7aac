"""The frontier of a plan, for every graph: order, what a failure gives up, and that no order of ends matters."""

from collections.abc import Iterator
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from holdfast.plan.graph import Frontier, cycle_in, dependencies, passes
from schemas.plans import AgentStep, ApprovalStep, OnError, Plan, StepState, ToolStep, WaitStep

ENDS = [StepState.SUCCEEDED, StepState.SKIPPED, StepState.FAILED, StepState.DENIED]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Steps that need any of those before them."""
    steps: list[ToolStep] = []
    for number in range(draw(st.integers(1, 12))):
        needs = draw(st.sets(st.sampled_from([step.id for step in steps]))) if steps else set()
        on_error = draw(st.sampled_from(OnError))
        steps.append(ToolStep(id=f"s{number}", tool="t", depends_on=tuple(sorted(needs)), on_error=on_error))
    return Plan(steps=tuple(draw(st.permutations(steps))))


def behind(plan: Plan, name: str) -> set[str]:
    """Every step that needs this one, directly or not."""
    direct = {step.id for step in plan.steps if name in step.depends_on}
    return direct.union(*(behind(plan, each) for each in direct))


def drain(frontier: Frontier) -> Iterator[str]:
    while step := frontier.pop():
        yield step.id


@given(plans(), st.data())
def test_each_step_runs_once_and_behind_all_it_needs(plan: Plan, data: st.DataObject) -> None:
    needs = {step.id: set(step.depends_on) for step in plan.steps}
    frontier, running, done = Frontier(plan, {}), list[str](), list[str]()
    while True:
        running += drain(frontier)
        if not running:
            break
        name = running.pop(data.draw(st.integers(0, len(running) - 1)))
        assert needs[name] <= set(done)
        done.append(name)
        assert frontier.end(name, StepState.SUCCEEDED) == []
    assert sorted(done) == sorted(needs)


@given(plans(), st.dictionaries(st.sampled_from([f"s{n}" for n in range(12)]), st.sampled_from(ENDS)))
def test_a_failure_gives_up_exactly_what_needs_it(plan: Plan, ends: dict[str, StepState]) -> None:
    known = {step.id: step for step in plan.steps}
    frontier, running = Frontier(plan, {}), list[str]()
    while running or (running := list(drain(frontier))):
        name = running.pop()
        state = ends.get(name, StepState.SUCCEEDED)
        lost_before = {step for step in known if step in frontier._closed}
        lost = frontier.end(name, state)
        expected = set() if passes(known[name], state) else behind(plan, name) - lost_before
        assert (set(lost), len(lost)) == (expected, len(expected))
        running += drain(frontier)


@given(
    plans(),
    st.dictionaries(st.sampled_from([f"s{n}" for n in range(12)]), st.sampled_from(ENDS)),
    st.randoms(use_true_random=False),
    st.randoms(use_true_random=False),
)
def test_any_order_of_ends_leads_to_the_same_steps(
    plan: Plan, ends: dict[str, StepState], one: Random, other: Random
) -> None:
    assert carried_out(plan, ends, one) == carried_out(plan, ends, other)


def carried_out(plan: Plan, ends: dict[str, StepState], random: Random) -> tuple[set[str], set[str]]:
    """What ran, and what was given up."""
    frontier, running, ran, lost = Frontier(plan, {}), list[str](), set[str](), set[str]()
    while running or (running := list(drain(frontier))):
        name = running.pop(random.randrange(len(running)))
        ran.add(name)
        lost.update(frontier.end(name, ends.get(name, StepState.SUCCEEDED)))
        running += drain(frontier)
    assert not ran & lost
    return ran, lost


@given(
    plans(), st.dictionaries(st.sampled_from([f"s{n}" for n in range(12)]), st.sampled_from(ENDS)), st.data()
)
def test_a_frontier_made_from_states_goes_on_where_the_first_was(
    plan: Plan, ends: dict[str, StepState], data: st.DataObject
) -> None:
    """As continue-as-new and resume need it: whatever ran stays done, whatever was given up stays given up."""
    states: dict[str, StepState] = {}
    frontier, running = Frontier(plan, {}), list[str]()
    for _ in range(data.draw(st.integers(0, len(plan.steps)))):
        running += drain(frontier)
        if not running:
            break
        name = running.pop(0)
        states[name] = ends.get(name, StepState.SUCCEEDED)
        states |= dict.fromkeys(frontier.end(name, states[name]), StepState.CANCELLED)
    assert sorted(drain(Frontier(plan, states))) == sorted([*running, *drain(frontier)])


def test_steps_that_may_start_come_in_the_order_of_the_plan() -> None:
    plan = Plan(steps=tuple(ToolStep(id=name, tool="t") for name in ("c", "a", "b")))
    assert list(drain(Frontier(plan, {}))) == ["c", "a", "b"]


GRAPHS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefghz"), max_size=4), max_size=8
)


@given(GRAPHS)
def test_a_cycle_is_found_where_there_is_one_and_only_there(edges: dict[str, list[str]]) -> None:
    cycle = cycle_in(edges)
    assert bool(cycle) is any(reaches(edges, name, name) for name in edges)
    assert all(after in edges[before] for before, after in pairwise(cycle))
    if cycle:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1


def reaches(edges: dict[str, list[str]], start: str, goal: str) -> bool:
    seen, todo = set[str](), list(edges[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += edges.get(name, [])
    return goal in seen


def test_a_cycle_of_ten_thousand_steps_is_found() -> None:
    ring = {f"s{n}": [f"s{(n + 1) % 10_000}"] for n in range(10_000)}
    assert len(cycle_in(ring)) == 10_001


def test_what_a_step_reads_it_waits_for() -> None:
    tool = ToolStep(
        id="x",
        tool="t",
        depends_on=("said",),
        arguments={"deep": [{"a": "${steps.read.output}"}]},
        when="${steps.asked.output} == 1",
        for_each="${steps.listed.output.items}",
    )
    assert dependencies(tool) == {"said", "read", "asked", "listed"}
    agent = AgentStep(id="x", agent="a", goal="${steps.g.output}", inputs={"i": "${steps.i.output}"})
    assert dependencies(agent) == {"g", "i"}
    assert dependencies(ApprovalStep(id="x", message="${steps.m.output}")) == {"m"}
    assert dependencies(WaitStep(id="x", until="${steps.u.output}")) == {"u"}


def test_what_only_explains_a_step_is_not_read() -> None:
    step = ToolStep(id="x", tool="t", title="${steps.a.output}", why="not ${even} readable")
    assert dependencies(step) == frozenset()
