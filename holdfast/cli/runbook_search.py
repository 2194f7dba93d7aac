"""`holdfast runbooks search`: what answers a question, where it says so, and why it was found."""

import sys
from typing import Literal

import click

from holdfast.cli.connection import as_json, ask, checked, print_json
from holdfast.cli.plain import plain
from schemas.knowledge import DocumentKind, SearchHit, SearchRequest, SearchResult


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option("--limit", default=5, show_default=True, help="Hits to show.")
@click.option("--source", help="Only this collection.")
@click.option("--component", help="Only of this component.")
@click.option("--env", "environment", help="Only what holds in this environment.")
@click.option("--tag", help="Only with this tag.")
@click.option("--owner", help="Only of this owner.")
@click.option("--alert", help="Only for this alert.")
@click.option("--kind", type=click.Choice([kind.value for kind in DocumentKind]), help="Only of this kind.")
@click.option(
    "--signals",
    type=click.Choice(["hybrid", "lexical", "dense"]),
    default="hybrid",
    show_default=True,
    help="Search by words, by meaning, or by both.",
)
@click.option("--explain", is_flag=True, help="Show what each signal added.")
@as_json
def search(
    query: tuple[str, ...],
    limit: int,
    signals: Literal["hybrid", "lexical", "dense"],
    kind: str | None,
    *,
    explain: bool,
    as_json: bool,
    **where: str | None,
) -> None:
    """Find runbooks. Exits with 1 where nothing surely answers."""
    only = {**where, "kinds": [kind] if kind else []}
    asked = {"query": " ".join(query), "limit": limit, "where": only, "signals": signals}
    request = checked(SearchRequest, asked)
    result = ask(lambda holdfast: holdfast.library.search(request))
    if as_json:
        print_json(result)
    else:
        _show_result(result, explain=explain)
    sys.exit(0 if result.answered else 1)


def _show_result(result: SearchResult, *, explain: bool) -> None:
    if not result.answered:
        click.echo(f"Nothing surely answers this (confidence {result.confidence:.2f}). Nearest:")
    for at, hit in enumerate(result.hits, 1):
        document = hit.document
        click.echo(plain(f"{at}. {document.title}  [{document.id} v{document.version}]  {_section(hit)}"))
        click.echo("   " + plain(hit.snippet).replace("\n", "\n   "))
        if explain:
            shares = ", ".join(
                f"{signal.name} {signal.raw:.2f} ({signal.share:+.2f})" for signal in hit.signals
            )
            place = f"characters {hit.start} to {hit.end} of version {document.version}"
            click.echo(plain(f"   score {hit.score:.2f}: {shares}; it {hit.why}; {place}"))
    if result.note:
        click.echo(result.note, err=True)


def _section(hit: SearchHit) -> str:
    return " > ".join(hit.section)
