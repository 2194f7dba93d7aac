"""A plan is reused for the same goal, or bound anew to another's parameters, and in no case that is only similar."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.plan_cache import PostgresPlanShelf
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.ids import new_id
from holdfast.llm.goal_reading import normalised, read_goal
from holdfast.llm.goal_standing import stands_alone
from holdfast.llm.plan_cache import CachingPlanner
from holdfast.llm.rebinding import NotTheSame, rebound
from holdfast.testing.embedding import embed_by_words
from schemas.agents import AgentSpec
from schemas.canonical import digest_of
from schemas.plans import Citation, Finding, Plan, PlanSource, ToolStep, WaitStep
from schemas.runs import RunInput
from schemas.stages import (
    Answer,
    AnswerRequest,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
    Recalled,
    Recollection,
    RunScope,
)
from schemas.tools import Catalogue


def lines_of(file: str) -> list[list[str]]:
    lines = Path(__file__).with_name(file).read_text(encoding="utf-8").splitlines()
    return [[part.strip() for part in line.split(" | ")] for line in lines if line and line[0] != "#"]


NEAR_MISSES = [(line[0], " | ".join(line[1:-1]), line[-1]) for line in lines_of("near_misses.txt")]
PARAPHRASES = [
    (line[0], " | ".join(line[1:half]), line[half], " | ".join(line[half + 1 :]))
    for line in lines_of("paraphrases.txt")
    for half in [len(line) // 2]
]
BOUND_ANEW = [
    ("calculate 2 + 3", "print(2 + 3)", "calculate 4 + 5", "print(4 + 5)"),
    ("restart nginx on web-1", "ssh web-1 systemctl restart nginx", "Please restart nginx on web-27", "ssh web-27 systemctl restart nginx"),
    ("check the disk of web-1", "df web-1", "verify disk of web-2", "df web-2"),
    ("copy /srv/a1 to /srv/a2", "cp /srv/a1 /srv/a2", "copy /srv/a2 to /srv/a1", "cp /srv/a2 /srv/a1"),
    ("delete files older than 7 days in /tmp/c1", "find /tmp/c1 -mtime +7 -delete", "delete files older than 30 days in /tmp/c1", "find /tmp/c1 -mtime +30 -delete"),
    ("fail over from db-1 to db-2", "failover db-1 db-2", "fail over from db-2 to db-1", "failover db-2 db-1"),
    ("ping 10.0.0.1", "ping 10.0.0.1", "ping 10.0.0.2", "ping 10.0.0.2"),
]  # fmt: skip


def plan_of(command: str) -> Plan:
    return Plan(
        steps=(ToolStep(id="do", tool="shell", arguments={"command": command}),), source=PlanSource.MODEL
    )


def command_of(plan: Plan | None) -> str:
    assert plan is not None
    (step,) = plan.steps
    assert isinstance(step, ToolStep)
    return str(step.arguments["command"])


def test_there_are_at_least_four_hundred_near_misses() -> None:
    assert len(NEAR_MISSES) >= 400


@pytest.mark.parametrize(("made_for", "command", "wanted"), NEAR_MISSES)
def test_a_near_miss_is_never_served_in_either_direction(made_for: str, command: str, wanted: str) -> None:
    for before, after in ((made_for, wanted), (wanted, made_for)):
        with pytest.raises(NotTheSame):
            rebound(plan_of(command), read_goal(before), read_goal(after))


@pytest.mark.parametrize(("made_for", "command", "wanted", "expected"), BOUND_ANEW + PARAPHRASES)
def test_a_plan_is_bound_to_new_parameters(made_for: str, command: str, wanted: str, expected: str) -> None:
    assert command_of(rebound(plan_of(command), read_goal(made_for), read_goal(wanted))) == expected


@given(st.integers(1, 999), st.integers(1, 999), st.integers(1, 999), st.integers(1, 999))
def test_sums_are_bound_rightly_or_not_at_all(a: int, b: int, c: int, d: int) -> None:
    try:
        plan = rebound(
            plan_of(f"print({a} + {b})"), read_goal(f"add {a} to {b}"), read_goal(f"add {c} to {d}")
        )
    except NotTheSame:
        return
    assert command_of(plan) == f"print({c} + {d})"


def test_what_stands_outside_of_texts_is_not_left_behind() -> None:
    """The wait was worked out from the goal, and would stay as it is."""
    steps = (
        ToolStep(id="do", tool="shell", arguments={"command": "notify 30"}, timeout_s=300),
        WaitStep(id="wait", seconds=30),
    )
    with pytest.raises(NotTheSame):
        rebound(Plan(steps=steps), read_goal("notify in 30 and wait"), read_goal("notify in 45 and wait"))


@pytest.mark.parametrize(
    ("goal", "alone"),
    [
        ("delete it", False),
        ("do the same on web-2", False),
        ("restart it on web-2", False),
        ("fix that", False),
        ("and the memory?", False),
        ("what about web-2?", False),
        ("continue", False),
        ("restart nginx on web-1 if it is down", True),
        ("find the largest file in /tmp/x1 and delete it", True),
        ("delete files that are older than 7 days in /tmp/c1", True),
        ("alert if load is above 4", True),
    ],
)
def test_a_goal_that_points_at_something_else_does_not_stand_alone(goal: str, *, alone: bool) -> None:
    assert stands_alone(goal) is alone


@pytest.mark.parametrize("goal", ['grep "a  b" in the log', "delete /srv/ａ1", "delete user Bob"])
def test_the_exact_form_evens_out_white_space_and_nothing_else(goal: str) -> None:
    assert normalised(f"  {goal.replace(' ', '   ', 1)} ") == goal


def test_a_number_found_in_two_places_is_bound_only_where_both_mean_the_same() -> None:
    before, after = read_goal("delete files older than 7 days"), read_goal("delete files older than 9 days")
    twice = plan_of("find -mtime +7 -print; find -mtime +7 -delete")
    assert command_of(rebound(twice, before, after)) == "find -mtime +9 -print; find -mtime +9 -delete"
    with pytest.raises(NotTheSame, match="in 2 places"):
        rebound(plan_of("sleep 7; find -mtime +7 -delete"), before, after)


class Thinker:
    """Stands for the model: it makes the command that the test says."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.cites: tuple[Citation, ...] = ()
        self.asked = 0

    async def plan(self, request: PlanRequest) -> PlanProposal:
        self.asked += 1
        plan = plan_of(self.command).model_copy(update={"cites": self.cites})
        return PlanProposal(plan=plan, by="model")

    async def next(self, request: NextRequest) -> NextMove:
        return NextMove()

    async def answer(self, request: AnswerRequest) -> Answer:
        return Answer(text="")


async def embed(tenant: str, text: str) -> Sequence[float]:
    return embed_by_words(text, 64)


@pytest.fixture
def runs(module_database: Database) -> PostgresRuns:
    return PostgresRuns(database=module_database)


async def request(
    runs: PostgresRuns, goal: str, *, agent: str = "operator", recalled: Recollection | None = None
) -> PlanRequest:
    run_input = RunInput(run_id=new_id("run"), tenant="default", goal=goal, agent=AgentSpec(name=agent))
    await runs.create(run_input)
    return PlanRequest(
        scope=RunScope(tenant="default", run_id=run_input.run_id, agent=agent, environment="dev"),
        goal=goal,
        agent=run_input.agent,
        catalogue=Catalogue(),
        recalled=recalled or Recollection(),
        bundle=digest_of("the policies"),
    )


async def end(database: Database, of: PlanRequest, status: str) -> None:
    async with database.tenant("default") as connection:
        await connection.execute("update runs set status = %s where id = %s", (status, of.scope.run_id))


def caching(
    database: Database, thinker: Thinker, findings: Sequence[Finding] = (), *, embedded: bool = True
) -> CachingPlanner:
    return CachingPlanner(
        planner=thinker,
        shelf=PostgresPlanShelf(database=database),
        check=lambda *_: findings,
        embed=embed if embedded else None,
    )


async def test_a_plan_is_reused_once_its_run_has_succeeded(
    module_database: Database, runs: PostgresRuns
) -> None:
    thinker = Thinker("ssh web-1 df")
    planner = caching(module_database, thinker)
    first = await request(runs, "check the disk of web-1", agent="one")
    await planner.plan(first)
    await planner.plan(await request(runs, "check the disk of web-1", agent="one"))
    assert thinker.asked == 2
    await end(module_database, first, "succeeded")
    same = await planner.plan(await request(runs, "check  the disk of web-1", agent="one"))
    other = await planner.plan(await request(runs, "verify the disk of web-22", agent="one"))
    assert thinker.asked == 2
    assert command_of(same.plan) == "ssh web-1 df"
    assert command_of(other.plan) == "ssh web-22 df"
    assert same.by == "cache"
    assert other.plan is not None
    assert other.plan.source is PlanSource.CACHE
    counts = await PostgresPlanShelf(database=module_database).counts("default")
    assert (counts["exact"], counts["rebound"]) == (1, 1)


@pytest.mark.parametrize("embedded", [True, False])
async def test_a_paraphrase_meets_its_plan_with_or_without_embeddings(
    module_database: Database, runs: PostgresRuns, *, embedded: bool
) -> None:
    agent = f"paraphrased-{embedded}".lower()
    thinker = Thinker("ssh web-1 df -h")
    planner = caching(module_database, thinker, embedded=embedded)
    first = await request(runs, "show the disk usage of web-1", agent=agent)
    await planner.plan(first)
    await end(module_database, first, "succeeded")
    other = await planner.plan(await request(runs, "How full is the disk on web-22?", agent=agent))
    assert command_of(other.plan) == "ssh web-22 df -h"
    assert (
        await planner.plan(await request(runs, "How fast is the disk on web-22?", agent=agent))
    ).by == "model"


async def test_a_plan_that_failed_a_later_run_is_not_offered_again(
    module_database: Database, runs: PostgresRuns
) -> None:
    thinker = Thinker("df")
    planner = caching(module_database, thinker)
    first = await request(runs, "look at the log", agent="two")
    await planner.plan(first)
    await end(module_database, first, "succeeded")
    second = await request(runs, "look at the log", agent="two")
    await planner.plan(second)
    await end(module_database, second, "failed")
    await planner.plan(await request(runs, "look at the log", agent="two"))
    assert thinker.asked == 2


@pytest.mark.parametrize(
    ("goal", "command"),
    [
        ("count failed logins today", "count --since 2026-11-30"),
        ("count failed logins of the last day", "count --since 1764460800"),
        ("delete it", "rm /srv/old"),
    ],
)
async def test_a_plan_for_one_day_or_one_conversation_is_not_kept(
    module_database: Database, runs: PostgresRuns, goal: str, command: str
) -> None:
    thinker = Thinker(command)
    planner = caching(module_database, thinker)
    agent = new_id("day").replace("_", "-")
    first = await request(runs, goal, agent=agent)
    await planner.plan(first)
    await end(module_database, first, "succeeded")
    await planner.plan(await request(runs, goal, agent=agent))
    assert thinker.asked == 2


async def test_a_plan_made_of_a_memory_is_reused_only_while_that_memory_holds(
    module_database: Database, runs: PostgresRuns
) -> None:
    memory = Citation(source="memory", id="mem_1", version=1, title="fact")
    thinker = Thinker("failover db-2")
    thinker.cites = (memory,)
    planner = caching(module_database, thinker)

    async def asked(version: int) -> PlanRequest:
        item = Recalled(cite=memory.model_copy(update={"version": version}), text="the replica is db-2")
        return await request(
            runs, "fail over to the replica", agent="mem", recalled=Recollection(items=(item,))
        )

    first = await asked(1)
    await planner.plan(first)
    await end(module_database, first, "succeeded")
    assert (await planner.plan(await asked(1))).by == "cache"
    assert (await planner.plan(await asked(2))).by == "model"


async def test_other_tools_policies_or_runbooks_are_another_space(
    module_database: Database, runs: PostgresRuns
) -> None:
    thinker = Thinker("df")
    planner = caching(module_database, thinker)
    first = await request(runs, "look around", agent="three")
    await planner.plan(first)
    await end(module_database, first, "succeeded")
    known = Recollection(items=(Recalled(cite=Citation(id="disk", version=2), text="..."),))
    await planner.plan(await request(runs, "look around", agent="three", recalled=known))
    again = await request(runs, "look around", agent="three")
    await planner.plan(again.model_copy(update={"bundle": digest_of("newer policies")}))
    await planner.plan(again.model_copy(update={"bundle": None}))
    assert thinker.asked == 4


async def test_a_kept_plan_that_no_longer_passes_the_checks_is_thought_anew(
    module_database: Database, runs: PostgresRuns
) -> None:
    thinker = Thinker("df")
    first = await request(runs, "look inside", agent="four")
    await caching(module_database, thinker).plan(first)
    await end(module_database, first, "succeeded")
    stale = caching(module_database, thinker, [Finding(code="unknown_tool", message="shell is gone")])
    await stale.plan(await request(runs, "look inside", agent="four"))
    assert thinker.asked == 2


async def test_no_near_miss_is_served_through_the_whole_cache(
    module_database: Database, runs: PostgresRuns
) -> None:
    """The same pairs, with embeddings and Postgres between."""
    for number, (made_for, command, wanted) in enumerate(NEAR_MISSES[::10]):
        thinker = Thinker(command)
        planner = caching(module_database, thinker)
        first = await request(runs, made_for, agent=f"miss-{number}")
        await planner.plan(first)
        await end(module_database, first, "succeeded")
        proposal = await planner.plan(await request(runs, wanted, agent=f"miss-{number}"))
        assert proposal.by == "model"
