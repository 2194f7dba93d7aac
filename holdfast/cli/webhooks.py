"""`holdfast webhooks`: tell other systems of events, signed."""

import click

from holdfast.cli.connection import as_json, ask, checked, print_json, report
from holdfast.cli.plain import plain
from schemas.webhooks import Delivery, DeliveryStatus, NewWebhook, Webhook, WebhookDraft

event_option = click.option(
    "--event", "events", multiple=True, metavar="TYPE", help="Such as run.ended, approval.*, or * for all."
)
environment_option = click.option("--env", "environments", multiple=True, help="Only of these environments.")


@click.group()
def webhooks() -> None:
    """Tell other systems of events."""


@webhooks.command("ls")
@as_json
def list_webhooks(*, as_json: bool) -> None:
    """Who is told of what."""
    found = ask(lambda holdfast: holdfast.webhooks.all())
    if as_json:
        print_json(*found)
    elif not found:
        click.echo("There are no webhooks.")
    for webhook in () if as_json else found:
        click.echo(_line(webhook))


@webhooks.command()
@click.argument("url")
@event_option
@environment_option
@click.option("--description", default="", help="What it is for.")
@as_json
def create(
    url: str, events: tuple[str, ...], environments: tuple[str, ...], description: str, *, as_json: bool
) -> None:
    """Tell URL of events. The secret that signs the messages is printed once."""
    given = {"url": url, "environments": environments or None, "description": description}
    draft = checked(WebhookDraft, {**given, **({"events": events} if events else {})})
    _shown_once(ask(lambda holdfast: holdfast.webhooks.create(draft)), as_json=as_json)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@as_json
def show(webhook_id: str, *, as_json: bool) -> None:
    """One webhook, without its secret."""
    _print(ask(lambda holdfast: holdfast.webhooks.read(webhook_id)), as_json=as_json)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.option("--url", help="Where messages go.")
@event_option
@environment_option
@click.option("--description", help="What it is for.")
@as_json
def edit(
    webhook_id: str,
    url: str | None,
    events: tuple[str, ...],
    environments: tuple[str, ...],
    description: str | None,
    *,
    as_json: bool,
) -> None:
    """Change what is said; the rest stays."""
    given = {"url": url, "events": events or None, "environments": environments or None}
    changes = {name: value for name, value in given.items() if value is not None}
    if description is not None:
        changes["description"] = description
    _print(ask(lambda holdfast: holdfast.webhooks.change(webhook_id, changes)), as_json=as_json)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@as_json
def pause(webhook_id: str, *, as_json: bool) -> None:
    """Queue nothing for it until it is unpaused. What happens meanwhile is never told."""
    _print(ask(lambda holdfast: holdfast.webhooks.change(webhook_id, {"paused": True})), as_json=as_json)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@as_json
def unpause(webhook_id: str, *, as_json: bool) -> None:
    """Tell it of what happens from now on."""
    _print(ask(lambda holdfast: holdfast.webhooks.change(webhook_id, {"paused": False})), as_json=as_json)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.option(
    "--overlap-hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(0, 720),
    help="How long messages carry the old signature too.",
)
@as_json
def rotate(webhook_id: str, overlap_hours: float, *, as_json: bool) -> None:
    """A new secret. For a while, messages are signed with both."""
    overlap_s = overlap_hours * 3600
    rotated = ask(lambda holdfast: holdfast.webhooks.rotate(webhook_id, overlap_s=overlap_s))
    _shown_once(rotated, as_json=as_json)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@as_json
def rm(webhook_id: str, *, as_json: bool) -> None:
    """Tell it nothing more; what is not delivered yet is dropped."""
    ask(lambda holdfast: holdfast.webhooks.remove(webhook_id))
    report(f"removed {webhook_id}", as_json=as_json, removed=webhook_id)


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.option(
    "--status",
    type=click.Choice([each.value for each in DeliveryStatus]),
    help="Only messages of which this became.",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="Messages to show.")
@as_json
def deliveries(webhook_id: str, status: str | None, limit: int, *, as_json: bool) -> None:
    """Its messages, the newest first, and what became of each."""
    page = ask(lambda holdfast: holdfast.webhooks.deliveries(webhook_id, status=status, limit=limit))
    if as_json:
        print_json(*page.items)
        return
    for delivery in page.items:
        click.echo(_delivery(delivery))


@webhooks.command()
@click.argument("webhook_id", metavar="ID")
@click.argument("delivery_id", metavar="MESSAGE")
@as_json
def retry(webhook_id: str, delivery_id: str, *, as_json: bool) -> None:
    """Try a dead message anew."""
    ask(lambda holdfast: holdfast.webhooks.retry(webhook_id, delivery_id))
    report(f"{delivery_id} is tried anew", as_json=as_json, retried=delivery_id)


def _shown_once(webhook: NewWebhook, *, as_json: bool) -> None:
    if as_json:
        print_json(webhook)
        return
    click.echo(f"{webhook.id}  {webhook.secret}")
    click.echo("Give the secret to the receiver now: it is not shown again.", err=True)


def _print(webhook: Webhook, *, as_json: bool) -> None:
    if as_json:
        print_json(webhook)
    else:
        click.echo(_line(webhook))


def _line(webhook: Webhook) -> str:
    state = "paused" if webhook.paused else "active"
    where = f" in {','.join(webhook.environments)}" if webhook.environments else ""
    return f"{webhook.id}  {state:<7} {','.join(webhook.events)}{where}  {plain(webhook.url)}"


def _delivery(delivery: Delivery) -> str:
    said = f"  {plain(delivery.last_error)}" if delivery.last_error else ""
    about = f"{delivery.type:<20} {delivery.run_id}  attempts {delivery.attempts}"
    return f"{delivery.id}  {delivery.status.value:<9} {about}{said}"
