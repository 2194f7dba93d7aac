"""`holdfast doctor`: what this machine can do, and what to do about the rest."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from holdfast.embedded.examination import Finding, examine
from holdfast.runtime.configuration import load
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
    async for finding in _everything(settings):
        findings.append(finding)
        if not quiet:
            _show(finding)
    return findings


async def _everything(settings: Settings) -> AsyncIterator[Finding]:
    namespaces = True
    async for finding in examine(settings):
        namespaces = namespaces and (finding.about, finding.level) != ("user namespaces", "bad")
        yield finding
    if namespaces and settings.sandbox.backend == "bubblewrap":
        for finding in await _sandbox(settings):
            yield finding


async def _sandbox(settings: Settings) -> Sequence[Finding]:
    """Every layer of the sandbox, tried from inside it; what holds is told in one line."""
    from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox  # noqa: PLC0415 -- for this command alone

    with tempfile.TemporaryDirectory() as store:
        sandbox = BubblewrapSandbox(store=Path(store), bwrap=settings.sandbox.bwrap)
        try:
            health = await sandbox.self_test()
        finally:
            await sandbox.close()
    holding = [check.name for check in health.checks if check.ok]
    weak = [check for check in health.checks if not check.ok]
    return [
        Finding(
            "sandbox",
            "good" if health.healthy else "note",
            f"{len(holding)} layers hold: {', '.join(holding)}",
        ),
        *(
            Finding(f"sandbox: {check.name}", "bad" if check.required else "note", check.detail, check.remedy)
            for check in weak
        ),
    ]


def _show(finding: Finding) -> None:
    sign, colour = _SIGNS[finding.level]
    click.echo(f"{click.style(f'{sign:4}', fg=colour)}  {finding.about}: {' '.join(finding.what.split())}")
    if finding.remedy:
        click.echo(f"      -> {' '.join(finding.remedy.split())}")
