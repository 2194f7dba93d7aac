"""`holdfast keys`: API keys, whose secret is shown once."""

import asyncio

import click

from holdfast.cli.connection import as_json, ask, checked, print_json
from holdfast.cli.terminal import line
from holdfast.runtime.configuration import load
from schemas.access import ApiKeyDraft, NewApiKey, Permission


@click.group()
def keys() -> None:
    """Make, rotate and revoke API keys."""


@keys.command()
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    help="viewer, operator, approver, policy-admin, admin, or your own; operator@staging in one environment.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([one.value for one in Permission]),
    help="Narrow it to these.",
)
@click.option("--env", "environments", multiple=True, help="Only in these environments.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Days until it expires.")
@as_json
def create(
    name: str,
    roles: tuple[str, ...],
    scopes: tuple[str, ...],
    environments: tuple[str, ...],
    days: float | None,
    *,
    as_json: bool,
) -> None:
    """Make a key. Its secret is printed once; nobody can show it again."""
    draft = checked(
        ApiKeyDraft,
        {
            "name": name,
            "roles": roles,
            "scopes": scopes or None,
            "environments": environments or None,
            "expires_in_s": None if days is None else days * 86_400,
        },
    )
    _shown_once(ask(lambda holdfast: holdfast.keys.create(draft)), as_json=as_json)


@keys.command()
@click.option("--tenant", default="default", show_default=True, help="Whose.")
@click.option("--replace", is_flag=True, help="End the one there is, where it was lost.")
@as_json
def bootstrap(tenant: str, *, replace: bool, as_json: bool) -> None:
    """Make the first key of an installation, for everything, straight in its database.

    Uses DATABASE_URL, the login of the API; without it, the stack that runs here.
    """
    _shown_once(asyncio.run(_bootstrapped(tenant, replace=replace)), as_json=as_json)


async def _bootstrapped(tenant: str, *, replace: bool) -> NewApiKey:
    from api.access import first_key  # noqa: PLC0415 -- psycopg is slow to import
    from holdfast.adapters.postgres.database import Database  # noqa: PLC0415
    from holdfast.adapters.postgres.membership import require_roles  # noqa: PLC0415
    from holdfast.cli.database import service_url  # noqa: PLC0415

    url = service_url(load())
    await require_roles(url, "holdfast_app")
    database = await Database.open(url, max_size=1)
    try:
        return await first_key(database, tenant=tenant, replace=replace)
    finally:
        await database.close()


@keys.command("ls")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 200), help="Keys to show.")
@as_json
def list_keys(limit: int, *, as_json: bool) -> None:
    """Keys, the newest first, without their secrets."""
    page = ask(lambda holdfast: holdfast.keys.page(limit=limit))
    if as_json:
        print_json(*page.items)
        return
    for key in page.items:
        state = (
            "revoked"
            if key.revoked_at
            else f"until {key.expires_at:%Y-%m-%d}"
            if key.expires_at
            else "active"
        )
        used = f"used {key.last_used_at:%Y-%m-%d}" if key.last_used_at else "never used"
        line(f"{key.id}  {state:<16} {used:<16} {','.join(key.roles):<16} {key.name}")


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap-hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(0, 720),
    help="How long the old key works on.",
)
@as_json
def rotate(key_id: str, overlap_hours: float, *, as_json: bool) -> None:
    """A new secret with the same rights; the old one works on for a while."""
    _shown_once(
        ask(lambda holdfast: holdfast.keys.rotate(key_id, overlap_s=overlap_hours * 3600)), as_json=as_json
    )


@keys.command()
@click.argument("key_id")
@as_json
def revoke(key_id: str, *, as_json: bool) -> None:
    """End a key at once."""
    key = ask(lambda holdfast: holdfast.keys.revoke(key_id))
    if as_json:
        print_json(key)
    else:
        click.echo(f"Key {key.id} ({key.name}) is revoked.")


@keys.command()
@as_json
def whoami(*, as_json: bool) -> None:
    """Who the key in use is, and what it may do."""
    principal = ask(lambda holdfast: holdfast.keys.whoami())
    if as_json:
        print_json(principal)
        return
    click.echo(
        f"{principal.id} ({principal.name}) in tenant {principal.tenant}: {', '.join(principal.roles)}"
    )
    for permission in sorted(principal.permissions):
        click.echo(f"  {permission.value}")
    for environment, granted in sorted(principal.only_in.items()):
        click.echo(f"  in {environment}: {', '.join(sorted(granted))}")


def _shown_once(key: NewApiKey, *, as_json: bool) -> None:
    if as_json:
        print_json(key)
    else:
        click.echo(key.token)
        click.echo("Keep it now: it is not shown again. Use it as HOLDFAST_API_KEY.", err=True)
