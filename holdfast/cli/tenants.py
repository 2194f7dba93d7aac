"""`holdfast tenants` and `holdfast roles`: who shares an installation, and what they may do in it."""

import click

from holdfast.cli.connection import as_json, ask, checked, print_json, report
from holdfast.cli.plain import plain
from schemas.access import CustomRole, CustomRoleDraft, Permission, Tenant, TenantDraft, TenantLimits

_title = click.option("--title", help="Its name for people.")
_runs = click.option("--active-runs", type=click.IntRange(0), help="The most runs under way at once.")
_spend = click.option("--usd-a-day", type=click.FloatRange(0), help="The most models may cost within a day.")


@click.group()
def tenants() -> None:
    """Make tenants and limit what they use up. Takes a key of a platform-admin."""


@tenants.command("ls")
@as_json
def list_tenants(*, as_json: bool) -> None:
    """All tenants, with their limits."""
    found = ask(lambda holdfast: holdfast.tenants.all())
    for each in () if as_json else found:
        click.echo(_line(each))
    if as_json:
        print_json(*found)


@tenants.command()
@click.argument("tenant")
@as_json
def show(tenant: str, *, as_json: bool) -> None:
    """One tenant, with its limits."""
    found = ask(lambda holdfast: holdfast.tenants.read(tenant))
    print_json(found) if as_json else click.echo(_line(found))


@tenants.command()
@click.argument("tenant")
@_title
@_runs
@_spend
@as_json
def create(
    tenant: str, title: str | None, active_runs: int | None, usd_a_day: float | None, *, as_json: bool
) -> None:
    """Make a tenant. Its first admin key is shown once, and is the only way in."""
    given = {"tenant": tenant, "title": title or "", "active_runs": active_runs, "spend_usd_a_day": usd_a_day}
    draft = checked(TenantDraft, given)
    made = ask(lambda holdfast: holdfast.tenants.create(draft))
    if as_json:
        print_json(made)
        return
    click.echo(made.first_key.token)
    click.echo(f"Tenant {tenant}, and the key of its first admin. It is not shown again.", err=True)


@tenants.command()
@click.argument("tenant")
@_title
@_runs
@_spend
@click.option("--no-active-runs", is_flag=True, help="Lift the limit of runs.")
@click.option("--no-usd-a-day", is_flag=True, help="Lift the limit of what models cost.")
@as_json
def limit(
    tenant: str,
    title: str | None,
    active_runs: int | None,
    usd_a_day: float | None,
    *,
    no_active_runs: bool,
    no_usd_a_day: bool,
    as_json: bool,
) -> None:
    """Change a tenant's title and limits. What is not named stays."""
    named = {"title": title, "active_runs": active_runs, "spend_usd_a_day": usd_a_day}
    lifted = {"active_runs": no_active_runs, "spend_usd_a_day": no_usd_a_day}
    changes: dict[str, object] = {name: value for name, value in named.items() if value is not None}
    changes |= {name: None for name, off in lifted.items() if off}
    if not changes:
        raise click.UsageError("Say what to change, as --usd-a-day 20.")

    def changed(standing: TenantLimits) -> TenantLimits:
        return checked(TenantLimits, {**standing.model_dump(), **changes})

    found = ask(lambda holdfast: holdfast.tenants.change(tenant, changed))
    print_json(found) if as_json else click.echo(_line(found))


@click.group()
def roles() -> None:
    """See what each role permits, and make roles of your own."""


@roles.command("ls")
@as_json
def list_roles(*, as_json: bool) -> None:
    """The roles there are: those built in, and the tenant's own."""
    found = ask(lambda holdfast: holdfast.roles.all())
    for each in () if as_json else found:
        click.echo(
            f"{each.name:<16} {len(each.permissions):>2} permissions  {plain(each.description)}".rstrip()
        )
    if as_json:
        print_json(*found)


@roles.command("show")
@click.argument("name")
@as_json
def show_role(name: str, *, as_json: bool) -> None:
    """What one role permits."""
    found = ask(lambda holdfast: holdfast.roles.read(name))
    print_json(found) if as_json else _permits(found)


@roles.command()
@click.argument("name")
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    required=True,
    type=click.Choice([permission.value for permission in Permission]),
    metavar="PERMISSION",
    help="What it permits; give it several times. `holdfast roles show admin` lists permissions.",
)
@click.option("--description", default="", help="Whom it is for.")
@as_json
def write(name: str, permissions: tuple[str, ...], description: str, *, as_json: bool) -> None:
    """Make a role, or say anew what it permits: that holds at once for all keys that have it."""
    draft = checked(CustomRoleDraft, {"permissions": permissions, "description": description})
    found = ask(lambda holdfast: holdfast.roles.write(name, draft))
    print_json(found) if as_json else _permits(found)


@roles.command()
@click.argument("name")
@as_json
def rm(name: str, *, as_json: bool) -> None:
    """Remove a role of your own."""
    ask(lambda holdfast: holdfast.roles.remove(name))
    report(f"Role {name} is gone.", as_json=as_json, removed=name)


def _line(found: Tenant) -> str:
    runs, spend = found.settings.active_runs, found.settings.spend_usd_a_day
    limits = [
        "any number of runs" if runs is None else f"{runs} runs at once",
        "no limit of spend" if spend is None else f"{spend:g} USD a day",
    ]
    return f"{found.tenant:<20} {', '.join(limits):<44} {plain(found.title)}".rstrip()


def _permits(role: CustomRole) -> None:
    for permission in sorted(role.permissions):
        click.echo(permission.value)
