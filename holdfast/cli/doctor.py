"""`holdfast doctor`: what this machine can do, and what to do about the rest."""

import asyncio
import json
from dataclasses import asdict

import click

from holdfast.runtime.configuration import load
from holdfast.runtime.embedded.examination import Finding, examine
from holdfast.runtime.settings import Settings

_SIGNS = {"good": ("ok", "green"), "note": ("note", "yellow"), "bad": ("BAD", "red")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Check this machine and say what to do. Exits with 2 if something stands in the way."""
    findings = asyncio.run(_examined(load(), quiet=as_json))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    ctx.exit(2 if any(finding.level == "bad" for finding in findings) else 0)


async def _examined(settings: Settings, *, quiet: bool) -> list[Finding]:
    findings = []
    async for finding in examine(settings):
        findings.append(finding)
        if not quiet:
            _show(finding)
    return findings


def _show(finding: Finding) -> None:
    sign, colour = _SIGNS[finding.level]
    click.echo(f"{click.style(f'{sign:4}', fg=colour)}  {finding.about}: {' '.join(finding.what.split())}")
    if finding.remedy:
        click.echo(f"      -> {' '.join(finding.remedy.split())}")
