"""`holdfast tools`: see which tools there are, how they fare, try them, and switch them on and off."""

import re
from collections.abc import Sequence
from pathlib import Path

import click
import yaml

from holdfast.cli.connection import as_json, ask, print_json, report
from holdfast.cli.terminal import line
from holdfast.cli.tool_calls import call, environment_option, test
from holdfast.client import Holdfast
from holdfast.errors import Conflict, NotFound
from schemas.tools import ToolState, ToolUse


@click.group()
def tools() -> None:
    """See which tools there are and how they fare."""


for command in (call, test):
    tools.add_command(command)


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
    newest = next((state.spec for state in reversed(states) if not state.withdrawn_at), states[-1].spec)
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
