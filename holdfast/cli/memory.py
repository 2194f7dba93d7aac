"""`holdfast memory`: read what runs taught, correct it, confirm it, roll it back, forget it."""

import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from holdfast.cli.library import Shelf, json_option, tenant_option, using
from schemas.memory import (
    Cues,
    Feedback,
    FeedbackReport,
    MemoryDraft,
    MemoryHit,
    MemoryItem,
    MemoryKind,
    MemoryStatus,
    MemoryVersion,
    Snapshot,
)

item_argument = click.argument("item_id", metavar="ID")
_KINDS = click.Choice([kind.value for kind in MemoryKind])


@click.group()
def memory() -> None:
    """Read, correct and forget what runs taught.

    Uses DATABASE_URL, or the stack that runs here.
    """


@memory.command("ls")
@click.option("--kind", type=_KINDS)
@click.option("--status", type=click.Choice([status.value for status in MemoryStatus]))
@click.option("--run", "run_id", help="Only what this run taught.")
@tenant_option
@json_option
def list_items(
    kind: str | None, status: str | None, run_id: str | None, tenant: str, *, as_json: bool
) -> None:
    """List items."""

    async def work(shelf: Shelf) -> Sequence[MemoryItem]:
        return await shelf.memory.items(
            tenant,
            kind=MemoryKind(kind) if kind else None,
            status=MemoryStatus(status) if status else None,
            run_id=run_id,
            limit=500,
        )

    found = using(work)
    for item in found:
        click.echo(item.model_dump_json() if as_json else _line(item))
    if not found and not as_json:
        click.echo("Nothing is remembered yet.", err=True)


@memory.command()
@item_argument
@tenant_option
@json_option
def show(item_id: str, tenant: str, *, as_json: bool) -> None:
    """Print an item with its history, and what each version changed."""

    async def work(shelf: Shelf) -> tuple[MemoryItem, Sequence[MemoryVersion]]:
        return await shelf.memory.read(tenant, item_id), await shelf.memory.versions(tenant, item_id)

    item, versions = using(work)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "item": item.model_dump(mode="json"),
                    "versions": [each.model_dump(mode="json") for each in versions],
                }
            )
        )
        return
    click.echo(f"{_line(item)}\n\n{item.content.text}\n")
    click.echo(
        f"from {item.provenance.author or 'nobody named'}, run {item.provenance.run_id or '-'}; trust {item.content.trust.name.lower()}"
    )
    click.echo(f"used {item.used}, helped {item.helped}, hurt {item.hurt}")
    for newer, older in zip(versions, [*versions[1:], None], strict=True):
        click.echo(
            f"\nversion {newer.version}  {newer.created_at:%Y-%m-%d %H:%M}  {newer.author}: {newer.reason} ({newer.content.status})"
        )
        if older is not None:
            _diff(older.content.text, newer.content.text)


@memory.command()
@click.argument("text")
@click.option("--kind", type=_KINDS, default="fact", show_default=True)
@click.option("--subject", help="For a fact: what it is about. A newer fact on the same thing supersedes it.")
@click.option("--attribute", help="For a fact: which property of the subject.")
@tenant_option
def add(text: str, kind: str, subject: str | None, attribute: str | None, tenant: str) -> None:
    """Tell a fact or a lesson."""
    data = {name: value for name, value in (("subject", subject), ("attribute", attribute)) if value}

    async def work(shelf: Shelf) -> MemoryItem:
        draft = MemoryDraft(kind=MemoryKind(kind), text=text, data=data)
        return await shelf.memory.add(tenant, draft, author=shelf.author)

    click.echo(using(work).id)


@memory.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--env", "environment", default="", help="Recall as a run in this environment would.")
@click.option("--tool", "tools", multiple=True, help="A tool about to be called.")
@tenant_option
@json_option
def recall(
    words: tuple[str, ...], environment: str, tools: tuple[str, ...], tenant: str, *, as_json: bool
) -> None:
    """Show what a run with this goal would be told, and why."""

    async def work(shelf: Shelf) -> Sequence[MemoryHit]:
        return await shelf.memory.search(
            tenant, Cues(text=" ".join(words), environment=environment, tools=tools)
        )

    found = using(work)
    for hit in found:
        click.echo(hit.model_dump_json() if as_json else f"{_line(hit.item)}\n   {hit.why}")
    sys.exit(0 if found else 1)


@memory.command()
@item_argument
@click.argument("text")
@click.option("--reason", default="corrected", show_default=True)
@tenant_option
def edit(item_id: str, text: str, reason: str, tenant: str) -> None:
    """Give an item new words. The old ones stay in its history."""

    async def work(shelf: Shelf) -> MemoryItem:
        return await shelf.memory.edit(tenant, item_id, {"text": text}, author=shelf.author, reason=reason)

    click.echo(_line(using(work)))


@memory.command()
@item_argument
@tenant_option
def confirm(item_id: str, tenant: str) -> None:
    """Vouch for an item: it becomes active."""

    async def work(shelf: Shelf) -> MemoryItem:
        return await shelf.memory.confirm(tenant, item_id, author=shelf.author)

    click.echo(_line(using(work)))


@memory.command()
@item_argument
@click.option("--reason", default="rejected", show_default=True)
@tenant_option
def reject(item_id: str, reason: str, tenant: str) -> None:
    """Retire an item: it is not recalled any more."""

    async def work(shelf: Shelf) -> MemoryItem:
        return await shelf.memory.reject(tenant, item_id, author=shelf.author, reason=reason)

    click.echo(_line(using(work)))


@memory.command()
@item_argument
@click.argument("version", type=int)
@tenant_option
def rollback(item_id: str, version: int, tenant: str) -> None:
    """Bring back an older version of an item, as a new one."""

    async def work(shelf: Shelf) -> MemoryItem:
        return await shelf.memory.rollback(tenant, item_id, version, author=shelf.author)

    click.echo(_line(using(work)))


@memory.command()
@click.argument("what", metavar="ID|RUN")
@click.confirmation_option(prompt="Its words, versions and vectors are deleted for good. Go on?")
@tenant_option
def forget(what: str, tenant: str) -> None:
    """Really delete an item, or all that a run taught, and everything derived from it."""

    async def work(shelf: Shelf) -> Sequence[str]:
        if what.startswith("run_"):
            return await shelf.memory.forget_run(tenant, what, author=shelf.author)
        return await shelf.memory.forget(tenant, what, author=shelf.author)

    for item_id in using(work):
        click.echo(f"forgot {item_id}")


@memory.command()
@click.argument("run_id", metavar="RUN")
@click.option("--up", "verdict", flag_value="up", help="It did well.")
@click.option("--down", "verdict", flag_value="down", help="It did badly.")
@click.option("--item", help="The memory meant, where it is one.")
@click.option("--correction", default="", help="What it should have known.")
@tenant_option
def feedback(run_id: str, verdict: str | None, item: str | None, correction: str, tenant: str) -> None:
    """Say how a run did. It counts for what the run was told."""
    said = Feedback.model_validate(
        {"run_id": run_id, "verdict": verdict, "item": item, "correction": correction}
    )

    async def work(shelf: Shelf) -> FeedbackReport:
        return await shelf.memory.feedback(tenant, said, author=shelf.author)

    report = using(work)
    click.echo(
        f"counted for {len(report.credited)}, retired {len(report.retired)}, learned {report.learned or 'nothing new'}"
    )


@memory.command()
@click.argument("name", required=False)
@click.option("--note", default="")
@tenant_option
def snapshot(name: str | None, note: str, tenant: str) -> None:
    """Name this moment; without a name, list the moments named."""

    async def work(shelf: Shelf) -> Sequence[Snapshot]:
        return (
            [await shelf.memory.snapshot(tenant, name, note=note)]
            if name
            else await shelf.memory.snapshots(tenant)
        )

    for each in using(work):
        click.echo(f"{each.name}  {each.at:%Y-%m-%d %H:%M:%S}  {each.note}")


@memory.command()
@click.argument("name", metavar="SNAPSHOT")
@tenant_option
def restore(name: str, tenant: str) -> None:
    """Bring all memory back to a snapshot. Itself a change that can be undone."""

    async def work(shelf: Shelf) -> int:
        return await shelf.memory.restore(tenant, name, author=shelf.author)

    click.echo(f"{using(work)} items changed")


@memory.command("export")
@tenant_option
def export_items(tenant: str) -> None:
    """Print every item as a line of JSON."""

    async def work(shelf: Shelf) -> Sequence[MemoryItem]:
        return await shelf.memory.export(tenant)

    for item in using(work):
        click.echo(item.model_dump_json())


@memory.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@tenant_option
def import_items(file: Path, tenant: str) -> None:
    """Read an export. What stands already is not doubled."""
    items = [MemoryItem.model_validate_json(line) for line in file.read_text().splitlines() if line.strip()]

    async def work(shelf: Shelf) -> int:
        return await shelf.memory.import_items(tenant, items, author=shelf.author)

    click.echo(f"read {using(work)} items")


def _line(item: MemoryItem) -> str:
    first = item.content.text.strip().splitlines()[0][:90]
    mark = " (from outside)" if item.content.tainted else ""
    return f"{item.id}  v{item.version}  {item.content.kind:8}{item.content.status:12}{first}{mark}"


def _diff(older: str, newer: str) -> None:
    for line in list(difflib.unified_diff(older.splitlines(), newer.splitlines(), lineterm="", n=1))[2:]:
        click.echo(f"   {line}")
