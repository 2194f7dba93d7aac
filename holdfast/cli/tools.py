"""`holdfast tools`: see which tools there are, how they fare, try them, and switch them on and off."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from holdfast.cli.connection import as_json, ask, pairs, print_json, report, value_of
from holdfast.cli.plain import plain
from holdfast.cli.runs import exit_code, watched
from holdfast.cli.terminal import line
from holdfast.client import Holdfast
from holdfast.errors import Conflict, NotFound
from schemas.base import JsonObject
from schemas.effects import Effect, EffectStatus
from schemas.runs import Run
from schemas.tools import ToolExample, ToolState, ToolUse

environment_option = click.option("--env", "environment", default="dev", show_default=True, help="Where.")


@click.group()
def tools() -> None:
    """See which tools there are and how they fare."""


@tools.command("ls")
@environment_option
@as_json
def list_tools(environment: str, *, as_json: bool) -> None:
    """The newest version of each tool that runs can use, and what was refused."""
    _print_offered(environment, None, as_json=as_json)
    if not as_json:
        for problem in ask(lambda holdfast: holdfast.tools.problems()):
            click.echo(f"refused: {problem.source}: {problem.problem}", err=True)


@tools.command()
@click.argument("text")
@environment_option
@as_json
def search(text: str, environment: str, *, as_json: bool) -> None:
    """Tools whose name or description holds this text."""
    _print_offered(environment, text, as_json=as_json)


def _print_offered(environment: str, text: str | None, *, as_json: bool) -> None:
    found = ask(lambda holdfast: holdfast.tools.offered(environment=environment, text=text))
    if as_json:
        print_json(*found)
        return
    for spec in found:
        note = f"deprecated: {spec.deprecated}" if spec.deprecated else spec.description.partition("\n")[0]
        line(f"{spec.name:<20} {spec.version:<8} {spec.effect.value:<13} {spec.source:<9} {note}")


@tools.command()
@click.argument("name")
@as_json
def show(name: str, *, as_json: bool) -> None:
    """One tool: its versions, its arguments, how it fared in the last week."""
    states, uses = ask(lambda holdfast: _looked_up(holdfast, name))
    if as_json:
        print_json(*states, *uses)
        return
    newest = states[-1].spec
    kept = newest.model_dump(mode="json", exclude_defaults=True, exclude={"way"})
    click.echo(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True).rstrip())
    for state in states:
        click.echo(_state_line(state))
    for use in uses:
        click.echo(_use_line(use))


async def _looked_up(holdfast: Holdfast, name: str) -> tuple[Sequence[ToolState], Sequence[ToolUse]]:
    states = await holdfast.tools.states(name)
    if not states:
        raise NotFound(f"There is no tool {name}.", remedy="`holdfast tools ls` lists them.")
    return states, await holdfast.tools.uses(tool=name)


def _state_line(state: ToolState) -> str:
    off = f", off in {', '.join(state.disabled_in)}" if state.disabled_in else ""
    old = f", deprecated: {state.spec.deprecated}" if state.spec.deprecated else ""
    return f"version {state.spec.version}: {'withdrawn' if state.withdrawn_at else 'published'}{off}{old}"


def _use_line(use: ToolUse) -> str:
    kinds = ", ".join(f"{code} {count}" for code, count in sorted(use.failures.items()))
    latency = "" if use.p50_ms is None else f", p50 {use.p50_ms:.0f} ms, p95 {use.p95_ms or 0:.0f} ms"
    failed = f", {use.failed} failed ({kinds})" if use.failed else ""
    return f"used {use.version}: {use.calls} calls in 7 days{failed}{latency}"


@tools.command()
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
        offered = await holdfast.tools.offered(environment=environment)
        spec = next((spec for spec in offered if spec.name == name), None)
        if spec is not None and spec.deprecated:
            click.echo(f"note: {spec.warning}", err=True)
        schema = spec.input_schema if spec else {}
        run = await holdfast.tools.call(name, _as_asked(given, schema), environment=environment)
        if watch:
            return await watched(holdfast, run, as_json=as_json)
        ended, effect = await _ended(holdfast, run)
        _print_call(ended, effect)
        return exit_code(ended.status)

    ctx.exit(ask(made))


def _as_asked(given: Mapping[str, str], schema: JsonObject) -> JsonObject:
    """What the tool takes as text stays text, also where it reads as JSON: `--arg expression=42`."""
    asked = schema.get("properties", {})
    return {
        name: text if asked.get(name, {}).get("type") == "string" else value_of(text)
        for name, text in given.items()
    }


async def _ended(holdfast: Holdfast, run: Run) -> tuple[Run, Effect | None]:
    """The run when it has ended, or waits for a person, and the one effect it may have had."""
    async for event in holdfast.runs.follow(run.id):
        if event.type.value == "approval.requested":
            click.echo(f"waits for approval {event.data['approval_id']}; run {run.id}", err=True)
            break
    effects = await holdfast.runs.effects(run.id)
    return await holdfast.runs.read(run.id), next(iter(effects), None)


def _print_call(run: Run, effect: Effect | None) -> None:
    if effect is not None and effect.result is not None:
        click.echo(json.dumps(effect.result.output, indent=2, ensure_ascii=False))
        if effect.result.error:
            error = effect.result.error
            click.echo(plain(f"{error.code}: {error.message} {error.remedy}").rstrip(), err=True)
    elif run.status.ended:
        click.echo(f"not called: {run.reason or run.answer or run.status.value}", err=True)


@tools.command()
@click.argument("name")
@environment_option
@as_json
@click.pass_context
def test(ctx: click.Context, name: str, environment: str, *, as_json: bool) -> None:
    """Run the examples of a tool, each as a run of one step, and compare what they promise.

    An example that needs something first, such as a file in the workspace, is named and skipped.
    """

    async def tried(holdfast: Holdfast) -> int:
        found = next(
            (spec for spec in await holdfast.tools.offered(environment=environment) if spec.name == name),
            None,
        )
        if found is None:
            raise NotFound(
                f"There is no tool {name} in {environment}.", remedy="`holdfast tools ls` lists them."
            )
        outcomes = [
            await _try(holdfast, name, example, environment, as_json=as_json) for example in found.examples
        ]
        if not outcomes and not as_json:
            click.echo(f"{found.key} has no examples")
        return 0 if all(outcomes) else 1

    ctx.exit(ask(tried))


async def _try(
    holdfast: Holdfast, name: str, example: ToolExample, environment: str, *, as_json: bool
) -> bool:
    if example.needs:
        why = f"it needs {example.needs}"
        report(
            f"skipped  {example.title}: {why}", as_json=as_json, example=example.title, passed=None, why=why
        )
        return True
    run = await holdfast.tools.call(name, example.arguments, environment=environment)
    ended, effect = await _ended(holdfast, run)
    why = _missed(example, effect, ended)
    words = f"{'failed' if why else 'passed'}  {example.title}{': ' + why if why else ''}  ({run.id})"
    report(words, as_json=as_json, example=example.title, passed=not why, why=why, run_id=run.id)
    return not why


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


@tools.command()
@click.argument("name")
@click.option("--env", "environment", default="*", show_default=True, help="Where; * is everywhere.")
@as_json
def enable(name: str, environment: str, *, as_json: bool) -> None:
    """Offer a tool to new runs again."""
    _switch(name, environment, enabled=True, as_json=as_json)


@tools.command()
@click.argument("name")
@click.option("--env", "environment", default="*", show_default=True, help="Where; * is everywhere.")
@as_json
def disable(name: str, environment: str, *, as_json: bool) -> None:
    """Offer a tool to no new run, everywhere or in one environment."""
    _switch(name, environment, enabled=False, as_json=as_json)


def _switch(name: str, environment: str, *, enabled: bool, as_json: bool) -> None:
    ask(lambda holdfast: holdfast.tools.switch(name, enabled=enabled, environment=environment))
    place = "everywhere" if environment == "*" else f"in {environment}"
    words = f"{name} is {'on' if enabled else 'off'} {place}"
    report(words, as_json=as_json, tool=name, environment=environment, enabled=enabled)


@tools.command()
@click.argument("name")
@click.option("--python", "as_module", is_flag=True, help="A Python module and its test, not a manifest.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where; else the folder that workers follow.",
)
@as_json
def new(name: str, folder: Path | None, *, as_module: bool, as_json: bool) -> None:
    """Write the beginning of a tool that works as it is: a manifest, or with --python a module and its test."""
    from holdfast.cli.tool_starts import files_of  # noqa: PLC0415 - with what only this command needs
    from holdfast.runtime.configuration import load  # noqa: PLC0415

    if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_-]*)*", name):
        raise click.BadParameter(f"{name!r} is no name of a tool: lower case, as in reports.count.")
    if folder is None:
        settings = load()
        folder = settings.tools.folder or settings.data_dir / "tools"
    files = {
        folder / path: text
        for path, text in files_of(name, kind="python" if as_module else "manifest").items()
    }
    for path in files:
        if path.exists():
            raise Conflict(f"{path} is there already.", remedy="Choose another name, or another folder.")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        report(f"wrote {path}", as_json=as_json, tool=name, file=str(path))


@tools.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def check(file: Path, *, as_json: bool) -> None:
    """Read a manifest, or load a Python module, and say what is wrong with it. Nothing is called."""
    from holdfast.tools.manifests import read_manifest  # noqa: PLC0415 - jsonschema is slow to import
    from holdfast.tools.modules import tools_of_module  # noqa: PLC0415

    if file.suffix == ".py":
        keys = [tool.spec.key for tool in tools_of_module(file.name, file.read_text())]
    else:
        manifest = read_manifest(file.read_text())
        keys = [f"{manifest.name}@{manifest.version}"]
    for key in keys:
        report(f"{key} is a tool", as_json=as_json, tool=key)
