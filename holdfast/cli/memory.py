"""`holdfast memory`: read what runs taught, correct it, confirm it, roll it back, forget it."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from holdfast.cli.connection import as_json, ask, checked, pairs, print_json
from holdfast.cli.memory_after import feedback, forget, trace
from holdfast.cli.memory_keeping import export_items, import_items, restore, snapshot
from holdfast.cli.memory_options import about, placed, times_and_weights, weighed
from holdfast.cli.memory_view import line_of, print_item, tell
from holdfast.client import Holdfast
from schemas.memory import MemoryDraft, MemoryItem, MemoryKind, MemoryStatus, MemoryVersion
from schemas.shelf import MemoryEdit, RecallQuery

item_argument = click.argument("item_id", metavar="ID")
_KINDS = click.Choice([kind.value for kind in MemoryKind])


@click.group()
def memory() -> None:
    """Read, correct and forget what runs taught."""


for command in (feedback, trace, forget, snapshot, restore, export_items, import_items):
    memory.add_command(command)


@memory.command("ls")
@click.option("--kind", type=_KINDS, help="What sort of item it is.")
@click.option(
    "--status", type=click.Choice([status.value for status in MemoryStatus]), help="Of one standing."
)
@click.option("--run", "run_id", help="Only what this run taught.")
@as_json
def list_items(kind: str | None, status: str | None, run_id: str | None, *, as_json: bool) -> None:
    """List items."""
    filters = {"kind": kind, "status": status, "run_id": run_id}

    async def listed(holdfast: Holdfast) -> Sequence[MemoryItem]:
        return [item async for item in holdfast.memory.all(filters=filters)]

    found = ask(listed)
    for item in found:
        print_item(item, as_json=as_json)
    if not found and not as_json:
        click.echo(
            "No item is like this." if any(filters.values()) else "Nothing is remembered yet.", err=True
        )


@memory.command()
@item_argument
@as_json
def show(item_id: str, *, as_json: bool) -> None:
    """Print an item with its history, and what each version changed."""

    async def looked_up(holdfast: Holdfast) -> tuple[MemoryItem, Sequence[MemoryVersion]]:
        return await holdfast.memory.read(item_id), await holdfast.memory.versions(item_id)

    item, versions = ask(looked_up)
    if as_json:
        told = {
            "item": item.model_dump(mode="json"),
            "versions": [one.model_dump(mode="json") for one in versions],
        }
        click.echo(json.dumps(told))
    else:
        tell(item, versions)


@memory.command()
@click.argument("text")
@click.option("--kind", type=_KINDS, default="fact", show_default=True, help="What sort of item it is.")
@click.option("--external", is_flag=True, help="It comes from outside: it counts once a person confirms it.")
@click.option("--supersedes", metavar="ID", help="The item it takes the place of.")
@placed
@weighed
@as_json
def add(text: str, kind: str, *, as_json: bool, **said: Any) -> None:
    """Tell a fact or a lesson."""
    draft = {"kind": kind, "text": text, "external": said["external"], "supersedes": said["supersedes"]}
    draft |= about(said) | times_and_weights(said)
    item = ask(lambda holdfast: holdfast.memory.add(checked(MemoryDraft, draft)))
    if as_json:
        print_json(item)
    else:
        click.echo(item.id)


@memory.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--env", "environment", default="", help="Recall as a run in this environment would.")
@click.option("--tool", "tools", multiple=True, help="A tool about to be called.")
@click.option("--program", "programs", multiple=True, help="A program about to be run: `kubectl drain`.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of the run.")
@click.option("--thread", default="", help="The thread of the run.")
@as_json
def recall(
    words: tuple[str, ...],
    environment: str,
    thread: str,
    tools: tuple[str, ...],
    programs: tuple[str, ...],
    labels: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Show what a run with this goal would be told, and why. Exits with 1 where that is nothing."""
    asked = {"text": " ".join(words), "environment": environment, "thread": thread}
    query = checked(
        RecallQuery, {**asked, "tools": tools, "programs": programs, "labels": pairs(labels, "--label")}
    )
    found = ask(lambda holdfast: holdfast.memory.recall(query))
    for hit in found:
        click.echo(hit.model_dump_json() if as_json else f"{line_of(hit.item)}\n   {hit.why}")
    if not found and not as_json:
        click.echo("A run with this goal would be told nothing.", err=True)
    sys.exit(0 if found else 1)


@memory.command()
@item_argument
@click.argument("text", required=False)
@click.option("--reason", default="corrected", show_default=True, help="Why, for its history.")
@placed
@weighed
@as_json
def edit(item_id: str, text: str | None, reason: str, *, as_json: bool, **said: Any) -> None:
    """Give an item new words, another place, times or weights. The old ones stay in its history.

    What is not said stays; an option without a value takes away what stood there: `--env ""`, `--label team=`.
    """

    async def edited(holdfast: Holdfast) -> MemoryItem:
        standing = await holdfast.memory.read(item_id)
        told = ({"text": text} if text else {}) | about(said, standing.content) | times_and_weights(said)
        changes = checked(MemoryEdit, told).model_dump(mode="json", exclude_unset=True)
        if not changes:
            raise click.UsageError("Nothing is to be changed: give it a text or an option.")
        return await holdfast.memory.edit(item_id, changes, reason=reason, version=standing.version)

    print_item(ask(edited), as_json=as_json)


@memory.command()
@item_argument
@as_json
def confirm(item_id: str, *, as_json: bool) -> None:
    """Vouch for an item: it becomes active."""
    print_item(ask(lambda holdfast: holdfast.memory.confirm(item_id)), as_json=as_json)


@memory.command()
@item_argument
@click.option("--reason", default="rejected", show_default=True, help="Why, for its history.")
@as_json
def reject(item_id: str, reason: str, *, as_json: bool) -> None:
    """Retire an item: it is not recalled any more."""
    print_item(ask(lambda holdfast: holdfast.memory.reject(item_id, reason=reason)), as_json=as_json)


@memory.command()
@item_argument
@click.argument("version", type=click.IntRange(1))
@as_json
def rollback(item_id: str, version: int, *, as_json: bool) -> None:
    """Bring back an older version of an item, as a new one."""
    print_item(ask(lambda holdfast: holdfast.memory.rollback(item_id, version)), as_json=as_json)
