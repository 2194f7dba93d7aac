"""`holdfast freeze` and `holdfast thaw`: the fleet brake."""

from collections.abc import Sequence

import click

from holdfast.cli.connection import as_json, ask, checked, print_json
from holdfast.cli.terminal import line
from schemas.brakes import Freeze, FreezeDraft, FreezeFilter

where_option = click.option(
    "--where", metavar="KEY=VALUE,...", help="env, tool (may end in *), agent, or label.NAME; all must fit."
)


@click.command()
@where_option
@click.option("--all", "everything", is_flag=True, help="Hold every action of the tenant.")
@click.option("--reason", default="", help="Shown to whoever waits.")
@click.option("--list", "listing", is_flag=True, help="Show what is held now.")
@as_json
def freeze(where: str | None, reason: str, *, everything: bool, listing: bool, as_json: bool) -> None:
    """Hold matching actions at once, in every run, until they are thawed. Nothing is lost.

    What has gone out already is not called back: cancel its run for that.
    """
    if listing:
        found: Sequence[Freeze] = ask(lambda holdfast: holdfast.policies.freezes())
    else:
        draft = _place(where, everything=everything, reason=reason)
        found = [ask(lambda holdfast: holdfast.policies.freeze(draft))]
    _print(found, as_json=as_json, empty="Nothing is held.")


@click.command()
@click.argument("freeze_id", required=False)
@where_option
@click.option("--all", "everything", is_flag=True, help="Release everything.")
@as_json
def thaw(freeze_id: str | None, where: str | None, *, everything: bool, as_json: bool) -> None:
    """Release a freeze by its id, or those that were set with exactly these words; what they held goes on."""
    if everything or freeze_id:
        which = FreezeFilter(id=freeze_id)
    else:
        which = FreezeFilter(where=_place(where, everything=False))
    _print(ask(lambda holdfast: holdfast.policies.thaw(which)), as_json=as_json, empty="Nothing matched.")


def _place(where: str | None, *, everything: bool, reason: str = "") -> FreezeDraft:
    if (where is None) is not everything:
        raise click.UsageError("Say what: --where env=prod,tool=shell, or --all.")
    return checked(FreezeDraft, {**_fields(where or ""), "reason": reason})


def _fields(where: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in where.split(",") if where else ():
        key, separator, value = part.strip().partition("=")
        if not separator or not value:
            raise click.BadParameter(f"{part!r} is not KEY=VALUE.", param_hint="--where")
        if key.startswith("label."):
            if "label_key" in fields:
                raise click.BadParameter("A freeze has one label; set one for each.", param_hint="--where")
            fields |= {"label_key": key.removeprefix("label."), "label_value": value}
        elif key in ("env", "environment", "tool", "agent"):
            fields["environment" if key == "env" else key] = value
        else:
            raise click.BadParameter(
                f"{key!r} is none of env, tool, agent, label.NAME.", param_hint="--where"
            )
    return fields


def _print(found: Sequence[Freeze], *, as_json: bool, empty: str) -> None:
    if as_json:
        print_json(*found)
    elif not found:
        click.echo(empty)
    for each in () if as_json else found:
        state = f"thawed by {each.thawed_by}" if each.thawed_at else "holds"
        line(f"{each.id}  {state}  {_named(each)}  {each.reason}")


def _named(freeze: Freeze) -> str:
    label = f"label.{freeze.label_key}={freeze.label_value}" if freeze.label_key else ""
    places = {"env": freeze.environment, "tool": freeze.tool, "agent": freeze.agent}
    named = [f"{key}={value}" for key, value in places.items() if value]
    return ",".join([*named, *([label] if label else [])]) or "everything"
