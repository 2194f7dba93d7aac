"""Memory as a terminal shows it."""

import difflib
from collections.abc import Iterator, Sequence

import click

from holdfast.cli.connection import print_json
from holdfast.cli.plain import plain
from schemas.memory import MemoryContent, MemoryItem, MemoryVersion


def tell(item: MemoryItem, versions: Sequence[MemoryVersion]) -> None:
    click.echo(f"{line_of(item)}\n\n{plain(item.content.text)}\n")
    click.echo(
        f"from {item.provenance.author or 'nobody named'}, run {item.provenance.run_id or '-'}; "
        f"trust {item.content.trust.name.lower()}"
    )
    for line in _holds(item.content):
        click.echo(plain(line))
    click.echo(f"used {item.used}, helped {item.helped}, hurt {item.hurt}")
    for newer, older in zip(versions, [*versions[1:], None], strict=True):
        click.echo(
            f"\nversion {newer.version}  {newer.created_at:%Y-%m-%d %H:%M}  {newer.author}: "
            f"{plain(newer.reason)} ({newer.content.status})"
        )
        if older is not None:
            _diff(older.content.text, newer.content.text)


def _holds(content: MemoryContent) -> Iterator[str]:
    """Where, when and of what an item is so, as far as it says; how sure it is, and how much it matters."""
    scope = content.scope.model_dump(exclude={"labels"}) | content.scope.labels
    about = content.signature.model_dump() | {key: content.data.get(key) for key in ("subject", "attribute")}
    for head, named in (("holds for", scope), ("about", about)):
        if said := ", ".join(f"{name} {value}" for name, value in named.items() if value):
            yield f"{head} {said}"
    times = {"from": content.valid_from, "until": content.valid_to, "expires": content.expires_at}
    said = "".join(f", {name} {time:%Y-%m-%d %H:%M %Z}" for name, time in times.items() if time)
    yield f"confidence {content.confidence:g}, importance {content.importance:g}{said}{', pinned' if content.pinned else ''}"


def print_item(item: MemoryItem, *, as_json: bool) -> None:
    if as_json:
        print_json(item)
    else:
        click.echo(line_of(item))


def line_of(item: MemoryItem) -> str:
    first = plain((item.content.text.strip() or "-").splitlines()[0][:90])
    mark = " (from outside)" if item.content.tainted else ""
    return f"{item.id}  v{item.version}  {item.content.kind:8}{item.content.status:12}{first}{mark}"


def _diff(older: str, newer: str) -> None:
    for line in list(difflib.unified_diff(older.splitlines(), newer.splitlines(), lineterm="", n=1))[2:]:
        click.echo(f"   {plain(line)}")
