"""Lessons on the tools of a plan, told to its planner before anything is done.

A goal worded anew meets few lessons by its words alone; the plan made for it names its tools, and these meet them all.
"""

from collections.abc import Sequence
from typing import Protocol

import structlog

from holdfast.errors import HoldfastError
from holdfast.memory.commands import command_of, disregards_command, programs_of, programs_taught
from holdfast.memory.contexts import hit_as_recalled
from holdfast.ports import Planner
from schemas.base import JsonObject
from schemas.memory import Cues, MemoryHit, MemoryKind
from schemas.plans import Finding, Step, ToolStep
from schemas.stages import (
    Answer,
    AnswerRequest,
    NextMove,
    NextRequest,
    PlanProposal,
    PlanRequest,
    Recollection,
    RunScope,
)

log = structlog.get_logger(__name__)

NOT_KNOWN = Finding(
    code="lesson",
    message="What earlier runs taught about these tools was not known to whoever made this plan; it stands first in the"
    " knowledge now. Where it applies, plan accordingly.",
    fatal=False,
)
MOST = 4
"""So many lessons at most, the best of those that the plan disregards."""
RELEVANT = 0.3
"""So near to the goal is a lesson in words alone, or the plan is not made anew for it."""


class Lessons(Protocol):
    async def teaches(self, tenant: str, tools: Sequence[str]) -> bool: ...
    async def lessons_on(self, tenant: str, cues: Cues) -> Sequence[MemoryHit]: ...
    async def note_use(self, tenant: str, run_id: str, hits: Sequence[MemoryHit]) -> None: ...


class HeedingPlanner:
    """Fulfils `holdfast.ports.Planner`. What its planner did not know and would have done otherwise, it asks again with;
    once, so that nobody waits for two who disagree.
    """

    def __init__(self, *, planner: Planner, lessons: Lessons) -> None:
        self._planner = planner
        self._lessons = lessons

    async def plan(self, request: PlanRequest) -> PlanProposal:
        first = await self._planner.plan(request)
        steps = first.plan.steps if first.plan else ()
        recalled = await self._with_unheeded(request.scope, request.goal, steps, request.recalled)
        if recalled is None:
            return first
        # Said as a finding on the first plan: a kept plan would else answer again.
        anew = {"recalled": recalled, "previous": first.plan, "findings": (*request.findings, NOT_KNOWN)}
        again = await self._planner.plan(request.model_copy(update=anew))
        chosen = first if again.plan is None else again
        return chosen.model_copy(update={"spend_usd": first.spend_usd + again.spend_usd})

    async def next(self, request: NextRequest) -> NextMove:
        first = await self._planner.next(request)
        steps = (first.step,) if first.step else ()
        recalled = await self._with_unheeded(request.scope, request.goal, steps, request.recalled)
        if recalled is None:
            return first
        again = await self._planner.next(request.model_copy(update={"recalled": recalled}))
        return again.model_copy(update={"spend_usd": first.spend_usd + again.spend_usd})

    async def answer(self, request: AnswerRequest) -> Answer:
        return await self._planner.answer(request)

    async def _with_unheeded(
        self, scope: RunScope, goal: str, steps: Sequence[Step], recalled: Recollection
    ) -> Recollection | None:
        """What is recalled, and before it the lessons that these steps disregard; None where there is none."""
        calls = [step for step in steps if isinstance(step, ToolStep)]
        if not calls:
            return None
        try:
            hits = await self._unheeded(scope, goal, calls, recalled)
        except HoldfastError as error:
            log.warning("lessons_not_read", run_id=scope.run_id, error=error.code)
            return None
        if not hits:
            return None
        items = (*map(hit_as_recalled, hits), *recalled.items)
        return recalled.model_copy(update={"items": items})

    async def _unheeded(
        self, scope: RunScope, goal: str, calls: Sequence[ToolStep], recalled: Recollection
    ) -> Sequence[MemoryHit]:
        tools = tuple(dict.fromkeys(call.tool for call in calls))
        if not await self._lessons.teaches(scope.tenant, tools):
            return ()
        cues = Cues(
            text=goal[:8000],
            tools=tools,
            programs=tuple({name: None for call in calls for name in programs_of(call.arguments)}),
            agent=scope.agent,
            environment=scope.environment,
        )
        known = {item.cite.id for item in recalled.items}
        found = [
            hit for hit in await self._lessons.lessons_on(scope.tenant, cues) if hit.item.id not in known
        ]
        hits = [hit for hit in found if any(disregards(call, hit) for call in calls)][:MOST]
        if hits:
            await self._lessons.note_use(scope.tenant, scope.run_id, hits)
        return hits


def disregards(call: ToolStep, hit: MemoryHit) -> bool:
    """Whether a call is of the tool that a lesson is about, and not as the lesson says."""
    content = hit.item.content
    if content.kind is not MemoryKind.LESSON or content.signature.tool != call.tool:
        return False
    avoid = content.data.get("avoid", content.data.get("before"))
    do = content.data.get("do", content.data.get("after"))
    if not isinstance(avoid, dict):
        return hit.parts.get("relevance", 0.0) >= RELEVANT
    taught = programs_taught(content.data)
    if taught and set(taught).isdisjoint(programs_of(call.arguments)):
        return False
    command, failed = command_of(call.arguments), command_of(avoid)
    if command and failed:
        return disregards_command(command, failed, command_of(do) if isinstance(do, dict) else None)
    if not isinstance(do, dict):
        return call.arguments == avoid
    return any(_repeats(name, call.arguments, avoid, do) for name in {*avoid, *do})


def _repeats(name: str, arguments: JsonObject, avoid: JsonObject, do: JsonObject) -> bool:
    """An argument that the lesson changes: left out where it is to be given, or given as it failed."""
    if avoid.get(name) == do.get(name):
        return False
    if name not in arguments:
        return name in do
    return name in avoid and arguments[name] == avoid[name]
