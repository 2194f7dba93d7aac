"""`holdfast agents`: versioned roles, written from files."""

from pathlib import Path

import click
import yaml
from pydantic import ValidationError

from holdfast.cli.connection import as_json, ask, print_json
from holdfast.cli.terminal import line
from holdfast.client import Holdfast
from holdfast.errors import InvalidInput, NotFound
from schemas.agents import AgentDraft, AgentSpec


@click.group()
def agents() -> None:
    """Read and write agents."""


@agents.command("ls")
@as_json
def list_agents(*, as_json: bool) -> None:
    """The newest version of each."""
    found = ask(lambda holdfast: holdfast.agents.all())
    if as_json:
        print_json(*found)
        return
    for agent in found:
        line(f"{agent.name:<24} v{agent.version:<4} {agent.mode:<8} {agent.description}")


@agents.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="An older version than the newest.")
@as_json
def show(name: str, version: int | None, *, as_json: bool) -> None:
    """One agent, as YAML that `apply` takes back."""
    agent = ask(lambda holdfast: holdfast.agents.read(name, version))
    if as_json:
        print_json(agent)
    else:
        plain = agent.model_dump(mode="json", exclude={"version"}, exclude_defaults=True)
        click.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).rstrip())


@agents.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def apply(file: Path, *, as_json: bool) -> None:
    """Create the agent a YAML file describes, or a new version of it where it differs."""
    draft = read_draft(file)

    async def write(holdfast: Holdfast) -> AgentSpec:
        known = next(
            (agent.version for agent in await holdfast.agents.all() if agent.name == draft.name), None
        )
        if known is None:
            return await holdfast.agents.create(draft)
        try:
            return await holdfast.agents.write(draft, after=known)
        except NotFound:  # the built-in one, which nobody has written yet
            return await holdfast.agents.create(draft)

    agent = ask(write)
    if as_json:
        print_json(agent)
    else:
        click.echo(f"{agent.name} is at version {agent.version}")


def read_draft(file: Path) -> AgentDraft:
    try:
        return AgentDraft.model_validate(yaml.safe_load(file.read_text()))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{file} describes no agent: {place}: {first['msg']}") from error
