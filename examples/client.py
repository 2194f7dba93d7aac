"""Start a run, watch it happen, decide what it asks, and read what it did: the whole of it in one program.

holdfast up --detach
HOLDFAST_API_KEY=$(cat .holdfast/api-key) python examples/client.py "Find what fills the disk"
"""

import asyncio
import os
import sys
from typing import Literal

from holdfast.client import Holdfast, ModelDelta
from schemas.approvals import Approval
from schemas.events import EventType
from schemas.runs import RunRequest


async def main(goal: str) -> None:
    url = os.environ.get("HOLDFAST_API_URL", "http://127.0.0.1:8080")
    async with Holdfast(url, os.environ["HOLDFAST_API_KEY"]) as holdfast:
        run = await holdfast.runs.start(RunRequest(goal=goal, labels={"by": "example"}))
        # Comes back by itself after a lost connection or a restarted server; each event is told once.
        async for event in holdfast.runs.live(run.id):
            if isinstance(event, ModelDelta):
                print(event.text, end="")
                continue
            print(event.seq, event.type, event.step_id or "")
            if event.type is EventType.APPROVAL_REQUESTED:
                asked = await holdfast.approvals.read(event.data["approval_id"])
                # The digest that was read goes along: what is decided is that, and nothing since.
                await holdfast.approvals.decide(asked, answer_to(asked), comment="from the example")
        run = await holdfast.runs.read(run.id)
        print(f"\n{run.status}: {run.answer or run.reason}")
        for effect in await holdfast.runs.effects(run.id):
            print(f"  {effect.status} {effect.tool}: {effect.result.summary if effect.result else ''}")
        cost = await holdfast.runs.cost(run.id)
        print(f"  {cost.tool_calls} tool calls, {cost.spend_usd:.4f} USD")


def answer_to(asked: Approval) -> Literal["approve", "reject"]:
    """Here a person would look at what is asked."""
    print(f"  asked: {asked.summary.what}")
    return "reject"


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Report on the health of this host"))
