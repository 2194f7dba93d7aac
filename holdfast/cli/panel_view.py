"""Panels as lines of a terminal."""

import click

from holdfast.cli.plain import plain
from schemas.panels import Consensus, PanelAnalytics, PanelResult, VoiceAnswer

_LONGEST = 400


def consensus(found: Consensus) -> None:
    click.echo(f"{found.id}  {found.status}")
    if found.answer and found.decided_by:
        by = ", ".join(found.approvers) if found.decided_by == "human" else f"the {found.decided_by}"
        if found.decided_by == "nobody":
            by = "the panel, without consensus"
        click.echo(f"  {plain(found.choice or found.answer)}  (decided by {by})")
    elif found.reason:
        click.echo(f"  {plain(found.reason)}")
    if found.result:
        _result(found.result)
    if found.status == "input_required" and found.approval_id:
        click.echo(f"  decide it: holdfast approvals show {found.approval_id}")


def _result(result: PanelResult) -> None:
    parts = ", ".join(f"{name} {share:.2f}" for name, share in result.breakdown.items())
    click.echo(
        f"  score {result.score:.2f} of {result.threshold:.2f} by {result.method.value}: {parts or 'none'}"
    )
    if result.reason:
        click.echo(click.style(f"  no consensus: {plain(result.reason)}", fg="yellow"))
    for voice in result.voices:
        click.echo(_voice(voice))
    click.echo(
        f"  {result.cost_usd:.6f} USD, {result.latency_ms / 1000:.1f} s, {result.rounds} rounds, {result.id}"
    )


def _voice(voice: VoiceAnswer) -> str:
    mark = "✓" if voice.agrees else "·" if voice.state == "answered" else "✗"
    said = f"{voice.choice}: {voice.text}" if voice.choice else voice.text
    words = plain((said or f"{voice.state}: {voice.error}").replace("\n", " "))[:_LONGEST]
    return f"  {mark} {voice.voice:<16} {voice.deployment:<24} {voice.cost_usd:.6f} USD {voice.latency_ms:>6.0f} ms  {words}"


def analytics(found: PanelAnalytics) -> None:
    click.echo(f"{found.panels} panels, {found.escalated} without consensus.")
    for name, share in found.answered.items():
        stood = found.reliability.get(name)
        consensus_share = f"stood with consensus in {stood:.0%}" if stood is not None else "has not stood yet"
        click.echo(f"{name:<28} answered {share:.0%}, {consensus_share}")
    for one, others in found.agreement.items():
        agreed = ", ".join(f"{other} {share:.0%}" for other, share in others.items())
        click.echo(f"{one:<28} agrees with {agreed}")
    if found.scores:
        click.echo("scores  " + "  ".join(f"{score}: {count}" for score, count in found.scores.items()))
    for method, cost in found.cost_by_method.items():
        count, took = found.panels_by_method[method], found.latency_by_method[method]
        click.echo(f"{method:<28} {count} panels, {cost:.6f} USD and {took / 1000:.1f} s each")
