"""`holdfast tools test`: each example is a run, what comes first in it is done first, and what it needs is said."""

import asyncio
import json
from typing import Any

from tests.cli.commands import holdfast
from tests.runs.house import House


async def tried(house: House, *more: str) -> list[dict[str, Any]]:
    outcome = await holdfast(house.api, "tools", "test", "hear", "--json", *more)
    assert outcome.code == 0, outcome
    return [json.loads(line) for line in outcome.out.splitlines()]


async def test_the_calls_that_come_first_are_steps_of_the_same_run(house: House) -> None:
    echo, stranger = await tried(house)
    assert (echo["passed"], stranger["passed"]) == (True, None)
    assert stranger["why"] == "it needs somebody who speaks"
    assert house.world.said == ["first", "second"]
    assert sorted(await house.effects(echo["run_id"])) == [
        ("call", "succeeded"),
        ("first0", "succeeded"),
        ("first1", "succeeded"),
    ]


async def test_one_that_needs_something_is_tried_when_somebody_saw_to_it(house: House) -> None:
    _, stranger = await tried(house, "--all")
    assert stranger["passed"] is True


async def test_one_that_asks_a_person_is_left_waiting_or_waited_for(house: House) -> None:
    await house.policy("asks", effect="require_approval", scope={"tools": ["say"]})
    left = await holdfast(house.api, "tools", "test", "hear")
    assert left.code == 3
    assert "waits  An echo: a person is asked first; --all waits for them" in left.out
    waited = asyncio.create_task(holdfast(house.api, "tools", "test", "hear", "--all"))
    await house.decide(await newest_run(house, not_in=left.out))
    outcome = await waited
    assert (outcome.code, "passed  An echo" in outcome.out) == (0, True), outcome


async def newest_run(house: House, *, not_in: str) -> str:
    async def runs() -> list[str]:
        return [run["id"] for run in (await house.get("/v1/runs"))["items"] if run["id"] not in not_in]

    [found] = await house.until(runs, bool)
    return str(found)


async def test_a_call_that_fails_beforehand_fails_its_example(house: House) -> None:
    house.world.failures["first"] = 1
    outcome = await holdfast(house.api, "tools", "test", "hear")
    assert outcome.code == 1
    assert "failed  An echo" in outcome.out
    assert "first0" in outcome.out
