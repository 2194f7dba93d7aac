"""Whether what one run taught helps the next: trap tasks, worded anew twice, with a scripted model.

    python benchmarks/learning.py [--traps FILE] [--unrelated FILE] [--json]

Each trap is a call that fails unless it is made in a way that only trying tells. The scripted model plans the plain
call, tries the other after a failure, and, where it is told the lesson, does what the lesson says. Everything else is the
product: recall by the goal alone, lessons on the tools of the plan before it is carried out, learning by rules, feedback,
snapshots, in a real Postgres.

A line of the traps has `tool`, the arguments `plain` and as it `works`, `error`, and three `tasks`: a `goal` and what it
fills into the arguments. A line of the unrelated tasks has a `goal` and the call planned for it, if there is one.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.retrieval import TENANT, a_database
from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.ids import new_id
from holdfast.memory.commands import programs_of
from holdfast.memory.heeding import HeedingPlanner
from schemas.agents import AgentSpec
from schemas.base import JsonObject
from schemas.memory import Cues, Feedback, MemoryHit, MemoryItem, MemoryKind, MemoryStatus
from schemas.plans import Plan, StepState, ToolStep
from schemas.runs import RunStatus, StepOutcome
from schemas.stages import (
    Answer,
    AnswerRequest,
    LearnRequest,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
    RecallRequest,
    RunScope,
)
from schemas.tools import Catalogue, ToolError

DATA = Path(__file__).parents[1] / "tests" / "data" / "learning"
ROUNDS = ("first", "second", "third")


@dataclass(frozen=True)
class Trap:
    """A call that fails as it is plainly made, how it works, and three tasks that want it."""

    tool: str
    plain: JsonObject
    works: JsonObject
    error: str
    tasks: Sequence[dict[str, str]]

    def calls(self, wording: int) -> tuple[JsonObject, JsonObject]:
        """As it is plainly made for a task, and as it works."""
        return _filled(self.plain, self.tasks[wording]), _filled(self.works, self.tasks[wording])


def _filled(arguments: JsonObject, task: dict[str, str]) -> JsonObject:
    return {
        name: value.format(**task) if isinstance(value, str) else value for name, value in arguments.items()
    }


@dataclass(frozen=True)
class Unrelated:
    """A task that no lesson is for, and the call planned for it."""

    goal: str
    tool: str = ""
    arguments: JsonObject = field(default_factory=dict)


@dataclass
class Tally:
    failed: int = 0
    told: int = 0
    foreign: int = 0
    """Lessons of other traps that runs were told besides."""


class Scripted:
    """A planner that makes one call plainly, or as the lesson it is told says."""

    def __init__(self, trap: Trap, wording: int, memory: PostgresMemory) -> None:
        self._trap = trap
        self._calls = trap.calls(wording)
        self._memory = memory
        self.was_told = False
        self.foreign = 0

    async def plan(self, request: PlanRequest) -> PlanProposal:
        told = [item.cite.id for item in request.recalled.items if item.cite.source == "memory"]
        items = [await self._memory.read(request.scope.tenant, item_id) for item_id in told]
        lessons = [item for item in items if item.content.kind is MemoryKind.LESSON]
        self.was_told = any(_about(lesson, self._trap) for lesson in lessons)
        self.foreign = sum(not _about(lesson, self._trap) for lesson in lessons)
        plain, works = self._calls
        call = ToolStep(id="call_0", tool=self._trap.tool, arguments=works if self.was_told else plain)
        return PlanProposal(plan=Plan(steps=(call,)), by="script")

    async def next(self, request: NextRequest) -> NextMove:
        raise NotImplementedError("these tasks are planned")

    async def answer(self, request: AnswerRequest) -> Answer:
        return Answer(text="done")


class Fixed(Scripted):
    """A planner that makes one call whatever it is told."""

    def __init__(self, task: Unrelated, memory: PostgresMemory) -> None:
        super().__init__(Trap(task.tool, task.arguments, task.arguments, "", [{}]), 0, memory)


class World:
    """Runs with a scripted model against the traps."""

    def __init__(self, memory: PostgresMemory) -> None:
        self.memory = memory

    async def know(self, tenant: str, goal: str, call: Trap | None = None) -> Sequence[MemoryHit]:
        """By a goal, and by the call that a trap is about."""
        tools = (call.tool,) if call else ()
        programs = programs_of(call.calls(1)[0]) if call else ()
        return await self.memory.search(
            tenant, Cues(text=goal, tools=tools, programs=programs, environment="dev")
        )

    async def attempt(self, trap: Trap, wording: int) -> tuple[str, int, Scripted]:
        """One run: its id, its failed actions, and the planner with what it was told."""
        goal = trap.tasks[wording]["goal"]
        script = Scripted(trap, wording, self.memory)
        scope, call = await self.planned(script, goal)
        _, works = trap.calls(wording)
        calls = [call.arguments] if call.arguments == works else [call.arguments, works]
        await self.memory.learn(_told(scope, goal, trap, calls))
        return scope.run_id, len(calls) - 1, script

    async def planned(self, script: Scripted, goal: str) -> tuple[RunScope, ToolStep]:
        """As a run plans: what is recalled by its goal, then by the tools of its plan."""
        scope = RunScope(tenant=TENANT, run_id=new_id("run"), agent="operator", environment="dev")
        request = PlanRequest(
            scope=scope,
            goal=goal,
            agent=AgentSpec(name="operator"),
            catalogue=Catalogue(),
            recalled=await self.memory.recall(RecallRequest(scope=scope, goal=goal)),
        )
        plan = (await HeedingPlanner(planner=script, lessons=self.memory).plan(request)).plan
        assert plan is not None, "the script always plans"
        (call,) = plan.steps
        assert isinstance(call, ToolStep)
        return scope, call


def _about(item: MemoryItem, trap: Trap) -> bool:
    """Whether it is the lesson of this trap: some task of it was done so."""
    content = item.content
    if content.kind is not MemoryKind.LESSON or content.signature.tool != trap.tool:
        return False
    return content.data.get("do") in [trap.calls(wording)[1] for wording in range(len(trap.tasks))]


def _told(scope: RunScope, goal: str, trap: Trap, calls: Sequence[JsonObject]) -> LearnRequest:
    steps = tuple(ToolStep(id=f"call_{at}", tool=trap.tool, arguments=call) for at, call in enumerate(calls))
    error = ToolError(code=trap.error, message=f"{trap.tool} says {trap.error}")
    failed = StepOutcome(state=StepState.FAILED, error=error)
    outcomes = {step.id: failed for step in steps[:-1]} | {
        steps[-1].id: StepOutcome(state=StepState.SUCCEEDED)
    }
    return LearnRequest(
        scope=scope, goal=goal, status=RunStatus.SUCCEEDED, plan=Plan(steps=steps), outcomes=outcomes
    )


async def round_of(world: World, traps: Sequence[Trap], wording: int) -> Tally:
    tally = Tally()
    for trap in traps:
        _, failed, script = await world.attempt(trap, wording)
        tally.failed += failed
        tally.told += script.was_told
        tally.foreign += script.foreign
    return tally


async def told_elsewhere(world: World, unrelated: Sequence[Unrelated]) -> int:
    """Unrelated tasks that are told a lesson, be it by their goal or by the call planned for them."""
    count = 0
    for task in unrelated:
        if task.tool:
            script = Fixed(task, world.memory)
            await world.planned(script, task.goal)
            count += script.foreign > 0
        else:
            hits = await world.know(TENANT, task.goal)
            count += any(hit.item.content.kind is MemoryKind.LESSON for hit in hits)
    return count


async def corrected(world: World, trap: Trap) -> bool:
    """A wrong lesson, voted down with a correction, is not recalled again; the correction is."""
    run_id, _, _ = await world.attempt(trap, 1)
    goal = trap.tasks[1]["goal"]
    hits = await world.know(TENANT, goal, trap)
    wrong = next(hit for hit in hits if _about(hit.item, trap))
    await world.memory.edit(
        TENANT, wrong.item.id, {"text": "Wrong advice."}, author="bench", reason="spoil it"
    )
    said = "Drain the host before any restart."
    feedback = Feedback(run_id=run_id, verdict="down", item=wrong.item.id, correction=said)
    await world.memory.feedback(TENANT, feedback, author="bench")
    texts = [hit.item.content.text for hit in await world.know(TENANT, goal, trap)]
    return said in texts and "Wrong advice." not in texts


async def measure(
    world: World, traps: Sequence[Trap], unrelated: Sequence[Unrelated]
) -> dict[str, int | bool]:
    """Everything that is claimed of learning, as counts."""
    await world.memory.snapshot(TENANT, "before")
    found: dict[str, int | bool] = {"traps": len(traps), "unrelated": len(unrelated)}
    for wording, name in enumerate(ROUNDS):
        tally = await round_of(world, traps, wording)
        found |= {
            f"failed_{name}": tally.failed,
            f"told_{name}": tally.told,
            f"foreign_{name}": tally.foreign,
        }
        if wording == 0:
            found["unrelated_told"] = await told_elsewhere(world, unrelated)
    found["corrected"] = await corrected(world, traps[0])
    other = await world.know("other", traps[0].tasks[1]["goal"], traps[0])
    found["other_tenant"] = len(other)
    await world.memory.restore(TENANT, "before", author="bench")
    found["failed_after_rollback"] = (await round_of(world, traps, 1)).failed
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--traps", type=Path, default=DATA / "traps.jsonl", help="the trap tasks")
    parser.add_argument("--unrelated", type=Path, default=DATA / "unrelated.jsonl", help="the other tasks")
    parser.add_argument("--model-folder", type=Path, help="where the MiniLM files are, if not installed")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    traps = [Trap(**json.loads(line)) for line in options.traps.read_text().splitlines()]
    unrelated = [Unrelated(**json.loads(line)) for line in options.unrelated.read_text().splitlines()]
    embedder = MiniLM.find(options.model_folder)
    async with a_database() as database:
        world = World(PostgresMemory(database=database, embedder=embedder, new_lessons=MemoryStatus.ACTIVE))
        found = await measure(world, traps, unrelated)
    if options.json:
        print(json.dumps(found))
        return
    print(f"embedding model: {embedder.model if embedder else 'none, words alone'}")
    for name, value in found.items():
        print(f"{name.replace('_', ' '):28}{value}")


if __name__ == "__main__":
    asyncio.run(main())
