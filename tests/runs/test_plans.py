"""Plans, carried out on real servers."""

from schemas.plans import OnError, StepRetry, ToolStep
from schemas.runs import RunStatus
from tests.runs.conftest import Stage


def say(name: str, text: str = "", **fields: object) -> ToolStep:
    arguments = {"text": text or name, **fields.pop("arguments", {})}  # type: ignore[dict-item]
    return ToolStep.model_validate({"id": name, "tool": "say", "arguments": arguments, **fields})


async def test_a_plan_is_carried_out_and_told(stage: Stage) -> None:
    handle = await stage.start(say("first"), say("second", "${steps.first.output.text}!"))
    output = await handle.result()
    assert output.status is RunStatus.SUCCEEDED
    assert output.answer == "done: first, second"
    assert stage.world.said == ["first", "first!"]
    story = await stage.story(handle.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    run = await stage.run(handle.id)
    assert (run.status, run.answer) == ("succeeded", "done: first, second")
    print([event.type.value for event in story])
    history = await handle.fetch_history()
    print(len(history.events), [e.event_type for e in history.events])
