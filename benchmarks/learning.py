"""Whether what one run taught helps the next: trap tasks, reworded the second time, with a scripted model.

    python benchmarks/learning.py [--model-folder FOLDER]

Each trap is a tool that fails unless it is called in a way that only trying tells. The scripted model plans the plain
call, tries the other after a failure, and, where it is told a lesson, does what the lesson says. Everything else is the
product: recall by the goal alone, lessons on the tools of the plan before it is carried out, learning by rules, feedback,
snapshots, in a real Postgres.
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.retrieval import TENANT, a_database
from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.ids import new_id
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


@dataclass(frozen=True)
class Trap:
    """A task, how it is worded the second and the third time, its tool, the argument that makes the call work, and the
    error.
    """

    first: str
    second: str
    third: str
    tool: str
    needs: JsonObject
    error: str


TRAPS = (
    Trap("Restart the web service on web-1", "web-7 serves nothing, bring its frontend back", "the storefront host web-3 hangs, give its http daemon a kick", "service.restart", {"drain": True}, "in_use"),
    Trap("Resize the volume of db-1 to 200 GB", "db-4 needs more room for its data", "the disk under db-9 is too small, make it bigger", "volume.resize", {"offline": True}, "busy"),
    Trap("Rotate the key of the billing API", "Give billing a fresh credential", "finance integration: swap out the secret it authenticates with", "key.rotate", {"overlap_s": 3600}, "clients_cut_off"),
    Trap("Export the report of March", "I want the figures for last quarter as a file", "hand me the numbers for Q1 so I can open them in a spreadsheet", "report.export", {"format": "csv"}, "unsupported_format"),
    Trap("Purge the cache of the shop", "Shoppers see old prices, throw away what is cached", "prices on the site are stale, clear whatever is stored in between", "cache.purge", {"zone": "all"}, "zone_missing"),
    Trap("Scale the worker pool to 8", "The queue grows: double the consumers", "jobs pile up, run twice as many of them in parallel", "pool.scale", {"wait": False}, "timed_out"),
    Trap("Restore the backup of Monday", "Bring back the data as it was two days ago", "undo the accident: get last Tuesday's data back", "backup.restore", {"verify": False}, "checksum_slow"),
    Trap("Open port 8443 for the partner", "Let the partner's new gateway in", "a new supplier has to reach us over TLS, allow their traffic", "firewall.open", {"ttl_s": 86400}, "permanent_refused"),
    Trap("Rebuild the search index", "Search finds nothing since the upgrade, index anew", "nothing comes up when people look for products, regenerate the lookup", "index.rebuild", {"shards": 4}, "too_many_shards"),
    Trap("Move the tenant acme to cluster b", "acme should live on the new cluster", "customer globex has outgrown its home, transfer it to the other site", "tenant.move", {"freeze": True}, "writes_under_way"),
    Trap("Mute the alert DiskFull for an hour", "Silence the storage alarm while we clean", "the paging about full disks is noise during the migration, hush it", "alert.mute", {"reason": "maintenance"}, "reason_required"),
    Trap("Drain node n-12", "Take n-30 out of service gently", "we must patch n-77, empty it first", "node.drain", {"skip_daemons": True}, "daemons_remain"),
    Trap("Upgrade the agent on all hosts", "Roll the new collector out everywhere", "every machine needs the newest monitoring agent", "fleet.upgrade", {"batch": 10}, "too_many_at_once"),
    Trap("Send the incident mail", "Tell customers about the outage", "write to all clients that we are down", "mail.send", {"list": "status"}, "list_required"),
    Trap("Reindex table orders", "Queries on orders crawl, tidy its indexes", "the orders relation is bloated and slow, rebuild what speeds it up", "table.reindex", {"concurrently": True}, "lock_timeout"),
    Trap("Delete old snapshots", "Free the space that snapshots take", "backups from last year eat the storage, get rid of them", "snapshot.prune", {"keep": 7}, "keep_required"),
    Trap("Fail over the database", "Make the standby the primary", "the primary is dying, switch over to the replica", "db.failover", {"lag_s": 5}, "lag_unknown"),
    Trap("Renew the certificate of shop.example", "shop.example's TLS runs out on Friday", "https on shop.example will stop working, extend it", "cert.renew", {"challenge": "dns"}, "http_unreachable"),
    Trap("Deploy version 42 of checkout", "Ship checkout 43", "release the new version of the payment page", "deploy.start", {"canary": 10}, "canary_required"),
    Trap("Copy the logs of Tuesday to the archive", "Keep yesterday's logs for the auditors", "put last week's log files somewhere safe for compliance", "logs.copy", {"compress": True}, "quota"),
    Trap("Unlock the account of kim", "sam cannot log in any more", "a colleague got locked out after too many tries", "account.unlock", {"ticket": "T-1"}, "ticket_required"),
    Trap("Import the price list", "Load the supplier's new catalogue", "read in the vendor's list of articles", "prices.load", {"encoding": "latin-1"}, "bad_encoding"),
    Trap("Start the nightly batch by hand", "Last night's jobs never ran, run them now", "kick off what should have happened at 2 am", "batch.run", {"exclusive": False}, "lock_held"),
    Trap("Warm up the new region", "Prepare eu-north before traffic comes", "the asia region opens tomorrow, get its caches ready", "region.warm", {"rate": 50}, "throttled"),
)  # fmt: skip
UNRELATED = (
    "Add two numbers", "What is the capital of Peru?", "Summarise the minutes of Monday", "List the tables of the shop",
    "Translate the greeting", "How many users signed up?", "Draw the organisation chart", "Count the words of the essay",
    "Find a free meeting room", "Read the sensor of hall 3", "Compare the two contracts", "Sort the list of guests",
    "Which hosts run Linux?", "Show the weather for Oslo", "Write a haiku", "Check the spelling of the page",
    "Convert 3 miles to km", "Who wrote this module?", "Plan the team lunch", "Look up the order number",
    "what time is it in Tokyo", "multiply 17 by 23", "who wrote Faust",
    "rename the branch", "summarise this article about whales", "draw a pie chart of colours",
    "how tall is the Eiffel tower", "what does HTTP 418 mean", "list files in my home folder",
    "find typos in the readme", "which customers live in Rome", "compute the median of these values",
    "suggest a name for the cat", "grep for TODO in the sources", "how many rows has table invoices",
    "explain what a mutex is", "what is on the agenda today", "format this JSON",
    "convert celsius to fahrenheit", "show me the last ten commits", "is it going to rain",
    "look up the ISBN of this book", "count the vowels in this sentence", "read the temperature of the greenhouse",
    "which version of python is installed", "translate hello to Korean", "where is the meeting",
    "compare two strings", "generate a password", "check whether 97 is prime",
)  # fmt: skip
_MORE_TOOLS = ("calc", "text.grep", "files.read", "sql.query")


@dataclass
class Tally:
    failed: int = 0
    recalled: int = 0


class Scripted:
    """A planner that calls the trap's tool plainly, or as the lesson it is told says."""

    def __init__(self, trap: Trap, memory: PostgresMemory) -> None:
        self._trap = trap
        self._memory = memory
        self.was_told = False

    async def plan(self, request: PlanRequest) -> PlanProposal:
        told = [cite.id for cite in (item.cite for item in request.recalled.items) if cite.source == "memory"]
        items = [await self._memory.read(request.scope.tenant, item_id) for item_id in told]
        lesson = next((item for item in items if _about(item, self._trap)), None)
        self.was_told = lesson is not None
        target: JsonObject = {"target": request.goal.rsplit(maxsplit=1)[-1]}
        call = ToolStep(id="call_0", tool=self._trap.tool, arguments={**target, **_advice(lesson)})
        return PlanProposal(plan=Plan(steps=(call,)), by="script")

    async def next(self, request: NextRequest) -> NextMove:
        raise NotImplementedError("these tasks are planned")

    async def answer(self, request: AnswerRequest) -> Answer:
        return Answer(text="done")


class World:
    """Runs with a scripted model against the traps."""

    def __init__(self, memory: PostgresMemory) -> None:
        self.memory = memory

    async def know(self, tenant: str, goal: str, tools: Sequence[str]) -> Sequence[MemoryHit]:
        return await self.memory.search(tenant, Cues(text=goal, tools=tuple(tools), environment="dev"))

    async def attempt(self, trap: Trap, goal: str, tenant: str = TENANT) -> tuple[str, int, bool]:
        """One run: its id, its failed actions, and whether it was told the trap's lesson."""
        scope = RunScope(tenant=tenant, run_id=new_id("run"), agent="operator", environment="dev")
        recalled = await self.memory.recall(RecallRequest(scope=scope, goal=goal))
        script = Scripted(trap, self.memory)
        planner = HeedingPlanner(planner=script, lessons=self.memory)
        request = PlanRequest(
            scope=scope, goal=goal, agent=AgentSpec(name="operator"), catalogue=Catalogue(), recalled=recalled
        )
        plan = (await planner.plan(request)).plan
        assert plan is not None, "the script always plans"
        (call,) = plan.steps
        assert isinstance(call, ToolStep)
        plain = {"target": call.arguments["target"]}
        calls = [call.arguments]
        calls += [] if _works(trap, call.arguments) else [{**plain, **trap.needs}]
        await self.memory.learn(_told(scope, goal, trap, calls))
        return scope.run_id, len(calls) - 1, script.was_told


def _about(item: MemoryItem, trap: Trap) -> bool:
    content = item.content
    return content.kind is MemoryKind.LESSON and content.signature.tool == trap.tool


def _advice(lesson: MemoryItem | None) -> JsonObject:
    """What a lesson says to do, without the parts that belong to the task it was learnt on."""
    if lesson is None:
        return {}
    done = lesson.content.data.get("do") or {}
    return {name: value for name, value in done.items() if name != "target"}


def _works(trap: Trap, arguments: JsonObject) -> bool:
    return all(arguments.get(name) == value for name, value in trap.needs.items())


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


async def round_of(world: World, wording: Literal["first", "second", "third"]) -> Tally:
    tally = Tally()
    for trap in TRAPS:
        _, failed, recalled = await world.attempt(trap, getattr(trap, wording))
        tally.failed += failed
        tally.recalled += recalled
    return tally


async def injected_elsewhere(world: World) -> int:
    """Unrelated tasks that are given a trap's lesson, be it by their goal or by the tools that they call."""
    count = 0
    for goal in UNRELATED:
        hits = [*await world.know(TENANT, goal, ()), *await world.know(TENANT, goal, _MORE_TOOLS)]
        count += any(hit.item.content.kind is MemoryKind.LESSON for hit in hits)
    return count


async def corrected(world: World) -> bool:
    """A wrong lesson, voted down with a correction, is not recalled again; the correction is."""
    trap = TRAPS[0]
    run_id, _, _ = await world.attempt(trap, trap.second)
    hits = await world.know(TENANT, trap.second, [trap.tool])
    wrong = next(hit for hit in hits if _about(hit.item, trap))
    await world.memory.edit(
        TENANT, wrong.item.id, {"text": "Wrong advice."}, author="bench", reason="spoil it"
    )
    said = "Drain the host before any restart."
    feedback = Feedback(run_id=run_id, verdict="down", item=wrong.item.id, correction=said)
    await world.memory.feedback(TENANT, feedback, author="bench")
    texts = [hit.item.content.text for hit in await world.know(TENANT, trap.second, [trap.tool])]
    return said in texts and "Wrong advice." not in texts


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model-folder", type=Path, help="where the MiniLM files are, if not installed")
    options = parser.parse_args()
    async with a_database() as database:
        embedder = MiniLM.find(options.model_folder)
        world = World(PostgresMemory(database=database, embedder=embedder, new_lessons=MemoryStatus.ACTIVE))
        await world.memory.snapshot(TENANT, "before")
        first = await round_of(world, "first")
        second, third = await round_of(world, "second"), await round_of(world, "third")
        elsewhere = await injected_elsewhere(world)
        fixed = await corrected(world)
        other = await world.know("other", TRAPS[0].second, [TRAPS[0].tool])
        await world.memory.restore(TENANT, "before", author="bench")
        again = await round_of(world, "second")
    print(f"embedding model: {embedder.model if embedder else 'none, words alone'}")
    print(f"trap tasks                          {len(TRAPS)}")
    print(f"failed actions, first time          {first.failed}")
    for name, tally in (("reworded", second), ("reworded again", third)):
        print(f"failed actions, {name:20}{tally.failed} ({tally.failed / first.failed:.0%} of the first)")
        print(f"lesson told, {name:23}{tally.recalled / len(TRAPS):.0%}")
    print(f"unrelated tasks given a lesson      {elsewhere / len(UNRELATED):.0%}")
    print(f"failed actions after rolling back   {again.failed}")
    print(f"another tenant recalls              {len(other)}")
    print(f"a wrong lesson is corrected         {'yes' if fixed else 'no'}")


if __name__ == "__main__":
    asyncio.run(main())
