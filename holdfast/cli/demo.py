"""`holdfast demo`: the main job, end to end, on this machine. Everything it shows is told by the run itself."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import click

from holdfast.cli.demo_view import Narrator
from holdfast.cli.stack import running_stack
from holdfast.client import Holdfast
from holdfast.embedded.state import StackState, api_key_file, read_state
from holdfast.errors import HoldfastError, Unavailable
from holdfast.knowledge.sources import read_path
from holdfast.runtime.configuration import load
from holdfast.runtime.settings import Settings
from schemas.events import EventType, RunEvent
from schemas.plans import Plan, ToolStep
from schemas.runs import Run, RunRequest, RunStatus

GOAL = "The disk on this host is filling up: find what uses the space and propose a clean-up"
_LINES = 12
_KILLED_AFTER = 5


@click.command()
def demo() -> None:
    """Watch an agent work: plan from a runbook, be judged, be denied, ask a human, survive a kill -9.

    Starts the stack in .holdfast if none runs here, and needs no model key. In a terminal the stack stays up until
    Ctrl-C; elsewhere it is stopped at the end.
    """
    settings = load()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)  # as Ctrl-C does, they stop what was started here
    narrator = Narrator()
    narrator.chapter("Stack", f"Temporal, Postgres, workers and the API, in {settings.data_dir}")
    with running_stack(settings) as (state, ours):
        asyncio.run(_show(settings, state, narrator))
        if ours and sys.stdout.isatty():
            click.echo(f"\nThe stack stays up. Ctrl-C stops it; the data stays in {settings.data_dir}.")
            with suppress(KeyboardInterrupt):
                signal.pause()


async def _show(settings: Settings, state: StackState, narrator: Narrator) -> None:
    key = api_key_file(settings.data_dir).read_text().strip()
    async with Holdfast(state.api_url, key) as holdfast:
        await _ingest(settings, state, narrator)
        first = await _first_run(holdfast, narrator)
        second = await _second_run(settings, holdfast, narrator)
    narrator.goodbye(state, first, second)


async def _ingest(settings: Settings, state: StackState, narrator: Narrator) -> None:
    from holdfast.adapters.postgres.database import Database  # noqa: PLC0415 -- psycopg is slow to import
    from holdfast.adapters.shelf import models_of, shelf_of  # noqa: PLC0415

    drafts = read_path(example_runbooks()).drafts  # as `runbooks add` reads them, which then finds them there
    database = await Database.open(state.database_url, max_size=2)
    try:
        shelf = shelf_of(database, settings.knowledge, models_of(settings.knowledge))
        await shelf.library.ingest("default", drafts, author="demo")
    finally:
        await database.close()
    narrator.chapter("Runbooks", f"{len(drafts)} of ours are in the library.")


def example_runbooks() -> Path:
    """In the wheel beside the package; in a checkout beside the folder of the package."""
    shipped = Path(str(files("holdfast"))) / "examples" / "runbooks"
    return shipped if shipped.is_dir() else Path(__file__).parents[2] / "examples" / "runbooks"


async def _first_run(holdfast: Holdfast, narrator: Narrator) -> str:
    """A goal in prod: reads go ahead, destruction is denied, a change waits for a second pair of eyes."""
    narrator.chapter("First run, in prod", GOAL)
    run = await holdfast.runs.start(RunRequest(goal=GOAL, environment="prod"))
    async for event in holdfast.runs.follow(run.id):
        narrator.tell(event)
        if event.type is EventType.APPROVAL_REQUESTED:
            await _grant(holdfast, event, narrator)
    _expect(await holdfast.runs.read(run.id), RunStatus.SUCCEEDED)
    return run.id


async def _grant(holdfast: Holdfast, event: RunEvent, narrator: Narrator) -> None:
    approval_id = event.data["approval_id"]
    narrator.say(f"the demo now approves {approval_id}, as you would with `holdfast approvals approve`")
    decision = {"decision": "approve", "digest": event.data["digest"], "comment": "approved by the demo"}
    await holdfast.wire.post(f"/v1/approvals/{approval_id}/decision", decision)


async def _second_run(settings: Settings, holdfast: Holdfast, narrator: Narrator) -> str:
    """Effects one after another, and a worker killed among them. Then the effects are counted, in the file they left."""
    narrator.chapter(
        "Second run, in dev",
        f"{_LINES} effects, and kill -9 of the worker that runs the plan after {_KILLED_AFTER}",
    )
    run = await holdfast.runs.start(
        RunRequest(
            goal="Write down every step once, whatever happens", environment="dev", plan=_counting_plan()
        )
    )
    done, counted = 0, ""
    async for event in holdfast.runs.follow(run.id):
        if event.type is EventType.STEP_SUCCEEDED and event.step_id != "count":
            done += 1
            narrator.progress(done)
            if done == _KILLED_AFTER:
                narrator.say(await _kill(settings))
        elif event.type is EventType.TOOL_FINISHED and event.step_id == "count":
            counted = event.data["outcome"]["output"]["stdout"]
    _expect(await holdfast.runs.read(run.id), RunStatus.SUCCEEDED)
    lines = counted.split()
    if lines != [str(number) for number in range(1, _LINES + 1)]:
        raise HoldfastError(f"The file has the lines {lines}, and should have 1 to {_LINES}, each once.")
    narrator.say(
        f"the run went on where it was; its file has the lines {' '.join(lines)}: each effect happened once"
    )
    return run.id


def _counting_plan() -> Plan:
    steps: list[ToolStep] = []
    for number in range(1, _LINES + 1):
        behind = (f"line_{number - 1}",) if number > 1 else ()
        command = f"echo {number} >> lines.txt"
        steps.append(
            ToolStep(id=f"line_{number}", tool="shell", arguments={"command": command}, depends_on=behind)
        )
    count = ToolStep(
        id="count", tool="shell", arguments={"command": "cat lines.txt"}, depends_on=(f"line_{_LINES}",)
    )
    return Plan(steps=(*steps, count))


async def _kill(settings: Settings) -> str:
    state = read_state(settings.data_dir)
    worker = (
        next((part for part in state.parts if part.name == "worker orchestration"), None) if state else None
    )
    if worker is None or worker.pid is None:
        raise Unavailable("The orchestration worker is not under this stack's supervisor.")
    os.kill(worker.pid, signal.SIGKILL)
    return f"kill -9 {worker.pid} (worker orchestration); the supervisor starts another"


def _expect(run: Run, status: RunStatus) -> None:
    if run.status is not status:
        raise HoldfastError(f"Run {run.id} ended {run.status.value}, not {status.value}: {run.reason}")
