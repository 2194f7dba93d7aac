"""Two commands at once, whichever they are: no call is made twice, none is lost, the story has no gap, and the run ends."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import combinations_with_replacement

from temporalio.service import RPCError

from tests.runs.house import House, say

Command = Callable[[House, str], Awaitable[object]]
ENDED = {"succeeded", "failed", "cancelled"}


def posts(path: str, body: dict[str, object] | None = None) -> Command:
    async def send(house: House, run: str) -> object:
        answer = await house.http.post(f"/v1/runs/{run}/{path}", json=body or {})
        return answer.status_code

    return send


async def terminates(house: House, run: str) -> None:
    with suppress(RPCError):  # it has ended
        await house.client.get_workflow_handle(run).terminate(reason="a storm")


async def answers(house: House, *runs: str) -> None:
    one = f"&run_id={runs[0]}" if len(runs) == 1 else ""
    page = await house.get(f"/v1/approvals?status=pending&limit=200{one}")
    for asked in page["items"]:
        if asked["run_id"] in runs:
            body = {"decision": "approve", "digest": asked["digest"]}
            await house.http.post(f"/v1/approvals/{asked['id']}/decision", json=body)


COMMANDS: dict[str, Command] = {
    "pause": posts("pause"),
    "resume": posts("resume"),
    "cancel": posts("cancel", {"reason": "storm"}),
    "force": posts("cancel", {"mode": "force"}),
    "event": posts("events", {"name": "go"}),
    "fork": posts("fork"),
    "edit": posts("resume", {"step": "last", "arguments": {"text": "last"}}),
    "answer": answers,
    "terminate": terminates,
}


async def weather(house: House, number: int, *names: str) -> str:
    """A run with something of everything, and both commands at the same moment while a call is under way."""
    mark = f"n{number}"
    run = await house.start(
        say("first", f"{mark} first", arguments={"wait": mark}, compensation=undoing(f"{mark} undo")),
        say("each", f"{mark} ${{item}}", for_each="${inputs.names}", depends_on=["first"]),
        say("asks", f"{mark} odd", depends_on=["each"]),
        {"id": "wait", "kind": "wait", "event": "go", "depends_on": ["asks"]},
        say("last", f"{mark} last", depends_on=["wait"]),
        inputs={"names": ["x", "y"]},
        on_failure="pause",
    )
    await house.event(run, "tool.dispatched")
    house.world.gates.setdefault(mark, asyncio.Event()).set()
    await asyncio.gather(*(COMMANDS[name](house, run) for name in names))
    return run


def undoing(text: str) -> dict[str, object]:
    return {"tool": "say", "arguments": {"text": text}}


async def calmed(house: House, runs: Sequence[str]) -> list[str]:
    """The runs, led to their ends, whatever each waits for. One look is for all: 45 that look take all the time there is."""

    async def pushed(run: str) -> None:
        for path, body in (("resume", {}), ("events", {"name": "go"})):
            await house.http.post(f"/v1/runs/{run}/{path}", json=body)

    async def look() -> list[str]:
        await answers(house, *runs)
        found = {run["id"]: str(run["status"]) for run in (await house.get("/v1/runs?limit=200"))["items"]}
        for run in runs:
            if found[run] == "paused":
                await house.http.post(f"/v1/runs/{run}/resume", json={})
        return [found[run] for run in runs]

    await asyncio.gather(*map(pushed, runs))
    ended: list[str] = await house.until(look, lambda found: set(found) <= ENDED, patience_s=90)
    return ended


async def test_any_two_commands_at_once_lose_and_repeat_nothing(house: House) -> None:
    await house.policy(
        "ask",
        effect="require_approval",
        scope={"tools": ["say"]},
        priority=10,
        when="action.arguments.text.endsWith('odd')",
    )
    pairs = list(combinations_with_replacement(COMMANDS, 2))
    runs = await asyncio.gather(*(weather(house, number, *pair) for number, pair in enumerate(pairs)))
    ended = await calmed(house, runs)
    for run, status, pair in zip(runs, ended, pairs, strict=True):
        story = await house.story(run)
        assert [event.seq for event in story] == list(range(1, len(story) + 1)), pair
        kinds = Counter(event.type.value for event in story)
        surplus = kinds["run.ended"] - kinds["run.started"]
        assert 0 <= surplus <= ("terminate" in pair), pair
        effects = await house.effects(run)
        said = Counter(
            text.split()[1] for text in house.world.said if text.split()[0] == f"n{pairs.index(pair)}"
        )
        calls = Counter(step for step, _ in effects)
        assert said["first"] <= calls["first"], pair
        assert said["x"] + said["y"] <= calls["each"], pair
        assert said["odd"] <= calls["asks"], pair
        assert said["undo"] <= calls["undo_first"], pair
        assert not [effect for effect in effects if effect[1] in ("intended", "dispatched")], pair
        assert status in ENDED, pair
