"""`holdfast memory`: read what runs taught, correct it, confirm it, roll it back, forget it."""

import difflib
import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from holdfast.cli.connection import as_json, ask, checked, print_json
from holdfast.cli.memory_keeping import export_items, import_items, restore, snapshot
from holdfast.cli.plain import plain
from holdfast.client import Holdfast
from schemas.memory import MemoryDraft, MemoryItem, MemoryKind, MemoryStatus, MemoryVersion
from schemas.shelf import RecallQuery, RunFeedback

item_argument = click.argument("item_id", metavar="ID")
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%z"])
_KINDS = click.Choice([kind.value for kind in MemoryKind])


@click.group()
def memory() -> None:
    """Read, correct and forget what runs taught."""


for command in (snapshot, restore, export_items, import_items):
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
        _print(item, as_json=as_json)
    if not found and not as_json:
        click.echo("Nothing is remembered yet.", err=True)


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
        _tell(item, versions)


def _tell(item: MemoryItem, versions: Sequence[MemoryVersion]) -> None:
    click.echo(f"{_line(item)}\n\n{plain(item.content.text)}\n")
    click.echo(
        f"from {item.provenance.author or 'nobody named'}, run {item.provenance.run_id or '-'}; "
        f"trust {item.content.trust.name.lower()}"
    )
    click.echo(f"used {item.used}, helped {item.helped}, hurt {item.hurt}")
    for newer, older in zip(versions, [*versions[1:], None], strict=True):
        click.echo(
            f"\nversion {newer.version}  {newer.created_at:%Y-%m-%d %H:%M}  {newer.author}: "
            f"{plain(newer.reason)} ({newer.content.status})"
        )
        if older is not None:
            _diff(older.content.text, newer.content.text)


@memory.command()
@click.argument("text")
@click.option("--kind", type=_KINDS, default="fact", show_default=True, help="What sort of item it is.")
@click.option("--subject", help="For a fact: what it is about. A newer fact on the same thing supersedes it.")
@click.option("--attribute", help="For a fact: which property of the subject.")
@click.option("--env", "environment", default="", help="Where it holds; everywhere without it.")
@click.option("--agent", default="", help="For which agent; for all without it.")
@click.option("--thread", default="", help="Only for the runs of this thread.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only for runs with this label.")
@click.option("--tool", default="", help="For a lesson: the tool it is about.")
@click.option("--external", is_flag=True, help="It comes from outside: it counts once a person confirms it.")
@click.option("--from", "valid_from", type=_TIME, help="From when it is so.")
@click.option("--until", "valid_to", type=_TIME, help="Until when it is so.")
@as_json
def add(text: str, kind: str, *, as_json: bool, **said: Any) -> None:
    """Tell a fact or a lesson."""
    draft = {
        "kind": kind,
        "text": text,
        "external": said["external"],
        "data": _said(said, "subject", "attribute"),
        "scope": _said(said, "environment", "agent", "thread") | {"labels": _labels(said["labels"])},
        "signature": _said(said, "tool"),
        **{name: time.astimezone() for name, time in _said(said, "valid_from", "valid_to").items()},
    }
    item = ask(lambda holdfast: holdfast.memory.add(checked(MemoryDraft, draft)))
    if as_json:
        print_json(item)
    else:
        click.echo(item.id)


def _said(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options[name]}


@memory.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--env", "environment", default="", help="Recall as a run in this environment would.")
@click.option("--tool", "tools", multiple=True, help="A tool about to be called.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of the run.")
@click.option("--thread", default="", help="The thread of the run.")
@as_json
def recall(
    words: tuple[str, ...],
    environment: str,
    thread: str,
    tools: tuple[str, ...],
    labels: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Show what a run with this goal would be told, and why. Exits with 1 where that is nothing."""
    asked = {"text": " ".join(words), "environment": environment, "thread": thread}
    query = checked(RecallQuery, {**asked, "tools": tools, "labels": _labels(labels)})
    found = ask(lambda holdfast: holdfast.memory.recall(query))
    for hit in found:
        click.echo(hit.model_dump_json() if as_json else f"{_line(hit.item)}\n   {hit.why}")
    if not found and not as_json:
        click.echo("A run with this goal would be told nothing.", err=True)
    sys.exit(0 if found else 1)


@memory.command()
@item_argument
@click.argument("text")
@click.option("--reason", default="corrected", show_default=True, help="Why, for its history.")
@as_json
def edit(item_id: str, text: str, reason: str, *, as_json: bool) -> None:
    """Give an item new words. The old ones stay in its history."""
    edited = ask(lambda holdfast: holdfast.memory.edit(item_id, {"text": text}, reason=reason))
    _print(edited, as_json=as_json)


@memory.command()
@item_argument
@as_json
def confirm(item_id: str, *, as_json: bool) -> None:
    """Vouch for an item: it becomes active."""
    _print(ask(lambda holdfast: holdfast.memory.confirm(item_id)), as_json=as_json)


@memory.command()
@item_argument
@click.option("--reason", default="rejected", show_default=True, help="Why, for its history.")
@as_json
def reject(item_id: str, reason: str, *, as_json: bool) -> None:
    """Retire an item: it is not recalled any more."""
    _print(ask(lambda holdfast: holdfast.memory.reject(item_id, reason=reason)), as_json=as_json)


@memory.command()
@item_argument
@click.argument("version", type=click.IntRange(1))
@as_json
def rollback(item_id: str, version: int, *, as_json: bool) -> None:
    """Bring back an older version of an item, as a new one."""
    _print(ask(lambda holdfast: holdfast.memory.rollback(item_id, version)), as_json=as_json)


@memory.command()
@click.argument("what", metavar="ID|RUN")
@click.option("--keep-derived", is_flag=True, help="Leave what was derived from it.")
@click.confirmation_option(prompt="Its words, versions and vectors are deleted for good. Go on?")
@as_json
def forget(what: str, *, keep_derived: bool, as_json: bool) -> None:
    """Really delete an item, or all that a run taught, and everything derived from it.

    `holdfast memory trace ID` shows beforehand what that is.
    """

    async def forgotten(holdfast: Holdfast) -> Sequence[str]:
        if what.startswith("run_"):
            return await holdfast.memory.forget_run(what)
        return await holdfast.memory.forget(what, derived=not keep_derived)

    for item_id in ask(forgotten):
        click.echo(json.dumps({"forgot": item_id}) if as_json else f"forgot {item_id}")


@memory.command()
@item_argument
@as_json
def trace(item_id: str, *, as_json: bool) -> None:
    """Show how far an item has reached: what was derived from it, and the runs that were told it."""
    found = ask(lambda holdfast: holdfast.memory.trace(item_id))
    if as_json:
        print_json(found)
        return
    if not found.derived and not found.given:
        click.echo("Nothing was derived from it, and no run was told it.", err=True)
    for derived in found.derived:
        click.echo(f"derived  {derived}")
    for given in found.given:
        click.echo(f"told     {given.run_id}  {given.at:%Y-%m-%d %H:%M}  {given.outcome or '-'}")


@memory.command()
@click.argument("run_id", metavar="RUN")
@click.option("--up", "verdict", flag_value="up", help="It did well.")
@click.option("--down", "verdict", flag_value="down", help="It did badly.")
@click.option("--item", help="The memory meant, where it is one.")
@click.option("--comment", default="", help="In your words; kept with the run.")
@click.option("--correction", default="", help="What it should have known.")
@as_json
def feedback(
    run_id: str, verdict: str | None, item: str | None, comment: str, correction: str, *, as_json: bool
) -> None:
    """Say how a run did. It counts for what the run was told. Without options, show what was said."""
    if not (verdict or comment or correction):
        _show_feedback(run_id, as_json=as_json)
        return
    words = {"verdict": verdict, "item": item, "comment": comment, "correction": correction}
    said = checked(RunFeedback, words)
    report = ask(lambda holdfast: holdfast.memory.feedback(run_id, said))
    if as_json:
        print_json(report)
        return
    learned = report.learned or "nothing new"
    click.echo(f"counted for {len(report.credited)}, retired {len(report.retired)}, learned {learned}")


def _show_feedback(run_id: str, *, as_json: bool) -> None:
    for said in ask(lambda holdfast: holdfast.memory.said_of(run_id)):
        if as_json:
            print_json(said)
        else:
            words = plain(" ".join(filter(None, (said.comment, said.correction))))
            click.echo(f"{said.at:%Y-%m-%d %H:%M}  {said.author}  {said.verdict or '-':5}{words}")


def _labels(words: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _print(item: MemoryItem, *, as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        click.echo(_line(item))


def _line(item: MemoryItem) -> str:
    first = plain((item.content.text.strip() or "-").splitlines()[0][:90])
    mark = " (from outside)" if item.content.tainted else ""
    return f"{item.id}  v{item.version}  {item.content.kind:8}{item.content.status:12}{first}{mark}"


def _diff(older: str, newer: str) -> None:
    for line in list(difflib.unified_diff(older.splitlines(), newer.splitlines(), lineterm="", n=1))[2:]:
        click.echo(f"   {plain(line)}")
