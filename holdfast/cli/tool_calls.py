"""`holdfast tools call` and `test`: one call, or the examples of a tool, each as a run that is judged and recorded."""

import json
from collections.abc import Mapping
from typing import Any

import click

from holdfast.cli.connection import as_json, ask, pairs, report, value_of
from holdfast.cli.plain import plain
from holdfast.cli.runs import ENDED_BADLY, WAITS_FOR_PEOPLE, exit_code, watched
from holdfast.client import Holdfast
from holdfast.errors import NotFound
from schemas.base import JsonObject
from schemas.effects import Effect, EffectStatus
from schemas.plans import Plan, ToolStep
from schemas.runs import Run, RunRequest
from schemas.tools import ToolExample, ToolSpec

environment_option = click.option("--env", "environment", default="dev", show_default=True, help="Where.")
_CALL = "call"


@click.command()
@click.argument("name")
@click.option(
    "--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="An argument; JSON is understood."
)
@environment_option
@click.option("--watch", is_flag=True, help="Show the run's story instead of the result.")
@as_json
@click.pass_context
def call(
    ctx: click.Context, name: str, arguments: tuple[str, ...], environment: str, *, watch: bool, as_json: bool
) -> None:
    """Call a tool as a run of one step: judged and recorded like any agent's call."""
    given = pairs(arguments, "--arg")

    async def made(holdfast: Holdfast) -> int:
        spec = await _offered(holdfast, name, environment)
        if spec is not None and spec.deprecated:
            click.echo(f"note: {spec.warning}", err=True)
        schema = spec.input_schema if spec else {}
        run = await holdfast.tools.call(name, _as_asked(given, schema), environment=environment)
        if watch:
            return await watched(holdfast, run, as_json=as_json)
        ended, effect = await _ended(holdfast, run)
        _print_call(ended, effect)
        return _code(ended)

    ctx.exit(ask(made))


async def _offered(holdfast: Holdfast, name: str, environment: str) -> ToolSpec | None:
    offered = await holdfast.tools.offered(environment=environment)
    return next((spec for spec in offered if spec.name == name), None)


def _as_asked(given: Mapping[str, str], schema: JsonObject) -> JsonObject:
    """What the tool takes as text stays text, also where it reads as JSON: `--arg expression=42`."""
    asked = schema.get("properties", {})
    return {
        name: text if asked.get(name, {}).get("type") == "string" else value_of(text)
        for name, text in given.items()
    }


async def _ended(holdfast: Holdfast, run: Run, *, waits: bool = False) -> tuple[Run, Effect | None]:
    """The run when it has ended, and the effect of its call. One that asks a person is left unless the caller `waits`."""
    async for event in holdfast.runs.follow(run.id):
        if event.type.value == "approval.requested":
            click.echo(f"waits for approval {event.data['approval_id']}; run {run.id}", err=True)
            if not waits:
                break
    effects = await holdfast.runs.effects(run.id)
    return await holdfast.runs.read(run.id), next((each for each in effects if each.step_id == _CALL), None)


def _code(run: Run) -> int:
    """A run that was left before its end waits for a person, also where its row does not say so yet."""
    return exit_code(run.status) if run.status.ended else WAITS_FOR_PEOPLE


def _print_call(run: Run, effect: Effect | None) -> None:
    if effect is not None and effect.result is not None:
        click.echo(json.dumps(effect.result.output, indent=2, ensure_ascii=False))
        if effect.result.error:
            error = effect.result.error
            click.echo(plain(f"{error.code}: {error.message} {error.remedy}").rstrip(), err=True)
    elif run.status.ended:
        click.echo(f"not called: {run.reason or run.answer or run.status.value}", err=True)


@click.command()
@click.argument("name")
@environment_option
@click.option(
    "--all", "every", is_flag=True, help="Also those that need something, and wait for who is asked."
)
@as_json
@click.pass_context
def test(ctx: click.Context, name: str, environment: str, *, every: bool, as_json: bool) -> None:
    """Run the examples of a tool, each as a run that is judged and recorded, and compare what they promise.

    The calls that an example names as its first are steps of that run. One that needs what no call can lay out, such as
    a host or a person, says what, and is tried with --all, which waits for people too.
    """

    async def tried(holdfast: Holdfast) -> int:
        found = await _offered(holdfast, name, environment)
        if found is None:
            raise NotFound(
                f"There is no tool {name} in {environment}.", remedy="`holdfast tools ls` lists them."
            )
        codes = [
            await _try(holdfast, name, example, environment, waits=every, as_json=as_json)
            for example in found.examples
            if every or not _skipped(example, as_json=as_json)
        ]
        if not found.examples and not as_json:
            click.echo(f"{found.key} has no examples")
        return ENDED_BADLY if ENDED_BADLY in codes else max(codes, default=0)

    ctx.exit(ask(tried))


def _skipped(example: ToolExample, *, as_json: bool) -> bool:
    if example.needs:
        words = f"skipped  {example.title}: it needs {example.needs}"
        why = f"it needs {example.needs}"
        report(words, as_json=as_json, example=example.title, passed=None, why=why)
    return bool(example.needs)


async def _try(
    holdfast: Holdfast, name: str, example: ToolExample, environment: str, *, waits: bool, as_json: bool
) -> int:
    run = await _begun(holdfast, name, example, environment)
    ended, effect = await _ended(holdfast, run, waits=waits)
    waiting = not ended.status.ended
    why = "a person is asked first; --all waits for them" if waiting else _missed(example, effect, ended)
    passed = None if waiting else not why
    word = {None: "waits", True: "passed", False: "failed"}[passed]
    words = f"{word}  {example.title}{': ' + why if why else ''}  ({run.id})"
    report(words, as_json=as_json, example=example.title, passed=passed, why=why, run_id=run.id)
    return ENDED_BADLY if passed is False else _code(ended)


async def _begun(holdfast: Holdfast, name: str, example: ToolExample, environment: str) -> Run:
    """One call is a call, as whoever may call tools may make it; several are a run of their own."""
    if not example.first:
        return await holdfast.tools.call(name, example.arguments, environment=environment)
    request = RunRequest(
        goal=f"Try {name}: {example.title}"[:8000],
        environment=environment,
        plan=_plan(name, example),
        on_failure="fail",
        labels={"by": "tool-test"},
    )
    return await holdfast.runs.start(request)


def _plan(name: str, example: ToolExample) -> Plan:
    """The calls that come first, one after another, and then the one that is tried."""
    first = tuple(
        ToolStep(
            id=f"first{number}",
            tool=each.tool,
            arguments=each.arguments,
            depends_on=(f"first{number - 1}",) if number else (),
        )
        for number, each in enumerate(example.first)
    )
    last = (first[-1].id,) if first else ()
    return Plan(steps=(*first, ToolStep(id=_CALL, tool=name, arguments=example.arguments, depends_on=last)))


def _missed(example: ToolExample, effect: Effect | None, run: Run) -> str:
    """Why the example does not hold; nothing where it does. It names only the fields it cares for."""
    if effect is None or effect.result is None:
        return run.reason or run.status.value
    if effect.status is not EffectStatus.SUCCEEDED:
        return effect.result.error.message if effect.result.error else effect.status.value
    brought = effect.result.output
    wanted = example.output or {}
    wrong = [
        f"{key} is {_short(brought.get(key))}, not {_short(wanted[key])}"
        for key in sorted(wanted)
        if brought.get(key) != wanted[key]
    ]
    return "; ".join(wrong)


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]
