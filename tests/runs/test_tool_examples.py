"""`holdfast tools test`: each example is a run, what comes first in it is done first, and what it needs is said."""

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


async def test_a_call_that_fails_beforehand_fails_its_example(house: House) -> None:
    house.world.failures["first"] = 1
    outcome = await holdfast(house.api, "tools", "test", "hear")
    assert outcome.code == 1
    assert "failed  An echo" in outcome.out
    assert "first0" in outcome.out
