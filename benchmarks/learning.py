"""Whether what one run taught helps the next: trap tasks, reworded the second time, with a scripted model.

    python benchmarks/learning.py [--model-folder FOLDER]

Each trap is a tool that fails unless it is called in a way that only trying tells. The scripted model makes the plain
call first, tries the other after a failure, and, where a lesson is recalled, does what the lesson says. Everything else
is the product: recall, learning by rules, feedback, snapshots, in a real Postgres.
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.retrieval import TENANT, a_database
from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.ids import new_id
from schemas.base import JsonObject
from schemas.memory import Cues, Feedback, MemoryHit, MemoryKind, MemoryStatus
from schemas.plans import Plan, StepState, ToolStep
from schemas.runs import RunStatus, StepOutcome
from schemas.stages import LearnRequest, RunScope
from schemas.tools import ToolError


@dataclass(frozen=True)
class Trap:
    """A task, how it is worded the second time, its tool, the argument that makes the call work, and the error."""

    first: str
    second: str
    tool: str
    needs: JsonObject
    error: str


TRAPS = (
    Trap("Restart the web service on web-1", "web-7 serves nothing, bring its frontend back", "service.restart", {"drain": True}, "in_use"),
    Trap("Resize the volume of db-1 to 200 GB", "db-4 needs more room for its data", "volume.resize", {"offline": True}, "busy"),
    Trap("Rotate the key of the billing API", "Give billing a fresh credential", "key.rotate", {"overlap_s": 3600}, "clients_cut_off"),
    Trap("Export the report of March", "I want the figures for last quarter as a file", "report.export", {"format": "csv"}, "unsupported_format"),
    Trap("Purge the cache of the shop", "Shoppers see old prices, throw away what is cached", "cache.purge", {"zone": "all"}, "zone_missing"),
    Trap("Scale the worker pool to 8", "The queue grows: double the consumers", "pool.scale", {"wait": False}, "timed_out"),
    Trap("Restore the backup of Monday", "Bring back the data as it was two days ago", "backup.restore", {"verify": False}, "checksum_slow"),
    Trap("Open port 8443 for the partner", "Let the partner's new gateway in", "firewall.open", {"ttl_s": 86400}, "permanent_refused"),
    Trap("Rebuild the search index", "Search finds nothing since the upgrade, index anew", "index.rebuild", {"shards": 4}, "too_many_shards"),
    Trap("Move the tenant acme to cluster b", "acme should live on the new cluster", "tenant.move", {"freeze": True}, "writes_under_way"),
    Trap("Mute the alert DiskFull for an hour", "Silence the storage alarm while we clean", "alert.mute", {"reason": "maintenance"}, "reason_required"),
    Trap("Drain node n-12", "Take n-30 out of service gently", "node.drain", {"skip_daemons": True}, "daemons_remain"),
    Trap("Upgrade the agent on all hosts", "Roll the new collector out everywhere", "fleet.upgrade", {"batch": 10}, "too_many_at_once"),
    Trap("Send the incident mail", "Tell customers about the outage", "mail.send", {"list": "status"}, "list_required"),
    Trap("Reindex table orders", "Queries on orders crawl, tidy its indexes", "table.reindex", {"concurrently": True}, "lock_timeout"),
    Trap("Delete old snapshots", "Free the space that snapshots take", "snapshot.prune", {"keep": 7}, "keep_required"),
    Trap("Fail over the database", "Make the standby the primary", "db.failover", {"lag_s": 5}, "lag_unknown"),
    Trap("Renew the certificate of shop.example", "shop.example's TLS runs out on Friday", "cert.renew", {"challenge": "dns"}, "http_unreachable"),
    Trap("Deploy version 42 of checkout", "Ship checkout 43", "deploy.start", {"canary": 10}, "canary_required"),
    Trap("Copy the logs of Tuesday to the archive", "Keep yesterday's logs for the auditors", "logs.copy", {"compress": True}, "quota"),
    Trap("Unlock the account of kim", "sam cannot log in any more", "account.unlock", {"ticket": "T-1"}, "ticket_required"),
    Trap("Import the price list", "Load the supplier's new catalogue", "prices.load", {"encoding": "latin-1"}, "bad_encoding"),
    Trap("Start the nightly batch by hand", "Last night's jobs never ran, run them now", "batch.run", {"exclusive": False}, "lock_held"),
    Trap("Warm up the new region", "Prepare eu-north before traffic comes", "region.warm", {"rate": 50}, "throttled"),
)  # fmt: skip
UNRELATED = (
    "Add two numbers", "What is the capital of Peru?", "Summarise the minutes of Monday", "List the tables of the shop",
    "Translate the greeting", "How many users signed up?", "Draw the organisation chart", "Count the words of the essay",
    "Find a free meeting room", "Read the sensor of hall 3", "Compare the two contracts", "Sort the list of guests",
    "Which hosts run Linux?", "Show the weather for Oslo", "Write a haiku", "Check the spelling of the page",
    "Convert 3 miles to km", "Who wrote this module?", "Plan the team lunch", "Look up the order number",
)  # fmt: skip
_MORE_TOOLS = ("calc", "text.grep", "files.read", "sql.query")


@dataclass
class Tally:
    failed: int = 0
    recalled: int = 0


class World:
    """Runs with a scripted model against the traps."""

    def __init__(self, memory: PostgresMemory) -> None:
        self.memory = memory

    async def know(self, tenant: str, goal: str, tools: Sequence[str]) -> Sequence[MemoryHit]:
        return await self.memory.search(tenant, Cues(text=goal, tools=tuple(tools), environment="dev"))

    async def attempt(self, trap: Trap, goal: str, tenant: str = TENANT) -> tuple[str, int, bool]:
        """One run: its id, its failed actions, and whether the trap's lesson was recalled."""
        scope = RunScope(tenant=tenant, run_id=new_id("run"), agent="operator", environment="dev")
        hits = await self.know(tenant, goal, [trap.tool])
        lesson = next((hit for hit in hits if _about(hit, trap)), None)
        await self.memory.note_use(tenant, scope.run_id, hits)
        plain: JsonObject = {"target": goal.rsplit(maxsplit=1)[-1]}
        advised = {**plain, **_advice(lesson)}
        calls = [advised] if _works(trap, advised) else [advised, {**plain, **trap.needs}]
        await self.memory.learn(_told(scope, goal, trap, calls))
        return scope.run_id, len(calls) - 1, lesson is not None


def _about(hit: MemoryHit, trap: Trap) -> bool:
    content = hit.item.content
    return content.kind is MemoryKind.LESSON and content.signature.tool == trap.tool


def _advice(lesson: MemoryHit | None) -> JsonObject:
    """What a lesson says to do, without the parts that belong to the task it was learnt on."""
    if lesson is None:
        return {}
    done = lesson.item.content.data.get("do") or {}
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


async def round_of(world: World, *, second: bool, tenant: str = TENANT) -> Tally:
    tally = Tally()
    for trap in TRAPS:
        _, failed, recalled = await world.attempt(trap, trap.second if second else trap.first, tenant)
        tally.failed += failed
        tally.recalled += recalled
    return tally


async def injected_elsewhere(world: World) -> int:
    """Unrelated tasks that are given a trap's lesson."""
    count = 0
    for goal in UNRELATED:
        hits = await world.know(TENANT, goal, _MORE_TOOLS)
        count += any(hit.item.content.kind is MemoryKind.LESSON for hit in hits)
    return count


async def corrected(world: World) -> bool:
    """A wrong lesson, voted down with a correction, is not recalled again; the correction is."""
    trap = TRAPS[0]
    run_id, _, _ = await world.attempt(trap, trap.second)
    hits = await world.know(TENANT, trap.second, [trap.tool])
    wrong = next(hit for hit in hits if _about(hit, trap))
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
        first = await round_of(world, second=False)
        await world.memory.snapshot(TENANT, "taught")
        second = await round_of(world, second=True)
        elsewhere = await injected_elsewhere(world)
        fixed = await corrected(world)
        other = await world.know("other", TRAPS[0].second, [TRAPS[0].tool])
        await world.memory.restore(TENANT, "before", author="bench")
        again = await round_of(world, second=True)
    print(f"embedding model: {embedder.model if embedder else 'none, words alone'}")
    print(f"trap tasks                          {len(TRAPS)}")
    print(f"failed actions, first time          {first.failed}")
    print(
        f"failed actions, reworded            {second.failed} ({second.failed / first.failed:.0%} of the first)"
    )
    print(f"lesson recalled, reworded           {second.recalled / len(TRAPS):.0%}")
    print(f"unrelated tasks given a lesson      {elsewhere / len(UNRELATED):.0%}")
    print(f"failed actions after rolling back   {again.failed}")
    print(f"another tenant recalls              {len(other)}")
    print(f"a wrong lesson is corrected         {'yes' if fixed else 'no'}")


if __name__ == "__main__":
    asyncio.run(main())
