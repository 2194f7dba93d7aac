"""Memory as a whole: `holdfast memory snapshot`, `restore`, `export`, `import`."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from pydantic import ValidationError

from holdfast.cli.connection import as_json, ask, print_json
from holdfast.client import Holdfast
from holdfast.errors import InvalidInput
from schemas.memory import MemoryItem, Snapshot


@click.command()
@click.argument("name", required=False)
@click.option("--note", default="", help="Why it is taken.")
@as_json
def snapshot(name: str | None, note: str, *, as_json: bool) -> None:
    """Name this moment; without a name, list the moments named."""

    async def named(holdfast: Holdfast) -> Sequence[Snapshot]:
        if name:
            return [await holdfast.memory.snapshot(name, note=note)]
        return await holdfast.memory.snapshots()

    for each in ask(named):
        click.echo(
            each.model_dump_json() if as_json else f"{each.name}  {each.at:%Y-%m-%d %H:%M:%S}  {each.note}"
        )


@click.command()
@click.argument("name", metavar="SNAPSHOT|TIME")
@as_json
def restore(name: str, *, as_json: bool) -> None:
    """Bring all memory back to a snapshot, or to a time such as 2026-03-01T12:00:00+00:00.

    Itself a change that can be undone.
    """
    moment = _moment(name)
    changed = ask(
        lambda holdfast: holdfast.memory.restore_to(moment) if moment else holdfast.memory.restore(name)
    )
    click.echo(json.dumps({"changed": changed}) if as_json else f"{changed} items changed")


@click.command("export")
def export_items() -> None:
    """Print every item as a line of JSON."""

    async def printed(holdfast: Holdfast) -> None:
        async for item in holdfast.memory.export():
            print_json(item)

    ask(printed)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@as_json
def import_items(file: Path, *, as_json: bool) -> None:
    """Read an export. What stands already is not doubled."""
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    items = [checked_line(line) for line in lines if line.strip()]
    count = ask(lambda holdfast: holdfast.memory.import_items(items))
    click.echo(json.dumps({"read": count}) if as_json else f"read {count} items")


def _moment(text: str) -> datetime | None:
    """A time, where it is one; without a zone it is this machine's. Names of snapshots have no colon."""
    if ":" not in text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        return None


def checked_line(line: str) -> MemoryItem:
    try:
        return MemoryItem.model_validate_json(line)
    except ValidationError as error:
        raise InvalidInput(
            "This is no line of an export.", remedy="Take what `memory export` printed."
        ) from error
