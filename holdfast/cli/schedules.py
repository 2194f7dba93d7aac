"""`holdfast schedules`: runs that start by the clock."""

from datetime import UTC, datetime

import click

from holdfast.cli.connection import as_json, ask, checked, print_json, report, values
from holdfast.cli.plain import plain
from schemas.schedules import BackfillRequest, Overlap, Schedule, ScheduleDraft

note_option = click.option("--note", default="", help="Why; it is kept.")
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


@click.group()
def schedules() -> None:
    """Start runs by the clock."""


@schedules.command("ls")
@as_json
def list_schedules(*, as_json: bool) -> None:
    """Every schedule, and when it is due."""
    found = ask(lambda holdfast: holdfast.schedules.all())
    if as_json:
        print_json(*found)
    elif not found:
        click.echo("There are no schedules.")
    for schedule in () if as_json else found:
        click.echo(_line(schedule))


@schedules.command()
@click.argument("name")
@click.argument("goal")
@click.option("--cron", multiple=True, metavar="LINE", help="A cron line, such as '0 3 * * 1-5'.")
@click.option("--every", "every_s", type=click.IntRange(1), metavar="SECONDS", help="An interval.")
@click.option("--tz", "time_zone", default="UTC", show_default=True, help="The zone of the cron lines.")
@click.option(
    "--overlap",
    type=click.Choice([one.value for one in Overlap]),
    default="skip",
    show_default=True,
    help="What happens when the run before has not ended.",
)
@click.option("--jitter", "jitter_s", type=click.IntRange(0), default=0, help="Start up to so much later.")
@click.option("--agent", default="operator", show_default=True, help="The agent that works on it.")
@click.option("--env", "environment", default="dev", show_default=True, help="Where it works.")
@click.option("--runbook", help="The runbook to run.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; JSON is understood.")
@click.option("--paused", is_flag=True, help="Start nothing before it is unpaused.")
@note_option
@as_json
def create(
    name: str,
    goal: str,
    agent: str,
    environment: str,
    runbook: str | None,
    inputs: tuple[str, ...],
    *,
    as_json: bool,
    **when: object,
) -> None:
    """Run GOAL by the clock, as whoever's key this is."""
    run = {
        "goal": goal,
        "agent": agent,
        "environment": environment,
        "runbook": runbook,
        "inputs": values(inputs, "--input"),
    }
    draft = checked(ScheduleDraft, {"name": name, "run": run, **when})
    _print(ask(lambda holdfast: holdfast.schedules.create(draft)), as_json=as_json)


@schedules.command()
@click.argument("name")
@click.option("--goal", help="Another goal for its runs.")
@click.option("--cron", multiple=True, metavar="LINE", help="Instead of its cron lines.")
@click.option(
    "--every",
    "every_s",
    type=click.IntRange(1),
    metavar="SECONDS",
    help="An interval, in place of the one before.",
)
@click.option("--tz", "time_zone", help="The time zone of its cron lines.")
@click.option(
    "--overlap",
    type=click.Choice([one.value for one in Overlap]),
    help="What happens when the run before has not ended.",
)
@click.option(
    "--jitter", "jitter_s", type=click.IntRange(0), help="Start up to so many seconds late, by chance."
)
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="Instead of its inputs.")
@click.option("--note", help="Why; it is kept.")
@as_json
def edit(
    name: str,
    goal: str | None,
    inputs: tuple[str, ...],
    cron: tuple[str, ...],
    *,
    as_json: bool,
    **when: object,
) -> None:
    """Change what is said; the rest stays. Its runs become those of whoever's key this is."""
    changes = {option: value for option, value in {**when, "cron": cron or None}.items() if value is not None}
    run = {"goal": goal, "inputs": values(inputs, "--input") or None}
    changes["run"] = {field: value for field, value in run.items() if value is not None}
    _print(ask(lambda holdfast: holdfast.schedules.change(name, changes)), as_json=as_json)


@schedules.command()
@click.argument("name")
@as_json
def show(name: str, *, as_json: bool) -> None:
    """When it is due, and which runs it started last."""
    schedule = ask(lambda holdfast: holdfast.schedules.read(name))
    _print(schedule, as_json=as_json)
    if as_json:
        return
    click.echo(f"  goal      {plain(schedule.run.goal)}")
    click.echo(f"  overlap   {schedule.overlap.value}")
    click.echo(f"  by        {schedule.created_by}")
    click.echo(f"  started {schedule.started}, missed {schedule.missed}, skipped {schedule.skipped}")
    for fired in schedule.recent:
        click.echo(f"  {fired.due_at:%Y-%m-%d %H:%M:%S}  {fired.run_id}")


@schedules.command()
@click.argument("name")
@note_option
@as_json
def pause(name: str, note: str, *, as_json: bool) -> None:
    """Start nothing by the clock until it is unpaused."""
    _print(ask(lambda holdfast: holdfast.schedules.pause(name, note=note)), as_json=as_json)


@schedules.command()
@click.argument("name")
@note_option
@as_json
def unpause(name: str, note: str, *, as_json: bool) -> None:
    """Go on with what is due from now on."""
    _print(ask(lambda holdfast: holdfast.schedules.unpause(name, note=note)), as_json=as_json)


@schedules.command()
@click.argument("name")
@as_json
def trigger(name: str, *, as_json: bool) -> None:
    """Start a run right now."""
    _print(ask(lambda holdfast: holdfast.schedules.trigger(name)), as_json=as_json)


@schedules.command()
@click.argument("name")
@click.argument("start", type=MOMENT)
@click.argument("end", type=MOMENT)
@click.option(
    "--overlap",
    type=click.Choice([one.value for one in Overlap]),
    default="buffer_all",
    show_default=True,
    help="What happens when the run before has not ended.",
)
@as_json
def backfill(name: str, start: datetime, end: datetime, overlap: str, *, as_json: bool) -> None:
    """Start what was due between START and END (UTC, unless they say otherwise)."""
    wanted = checked(
        BackfillRequest, {"start_at": _aware(start), "end_at": _aware(end), "overlap": Overlap(overlap)}
    )
    _print(ask(lambda holdfast: holdfast.schedules.backfill(name, wanted)), as_json=as_json)


@schedules.command()
@click.argument("name")
@as_json
def rm(name: str, *, as_json: bool) -> None:
    """End a schedule. Runs that it started go on."""
    ask(lambda holdfast: holdfast.schedules.delete(name))
    report(f"removed {name}", as_json=as_json, removed=name)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _print(schedule: Schedule, *, as_json: bool) -> None:
    if as_json:
        print_json(schedule)
    else:
        click.echo(_line(schedule))


def _line(schedule: Schedule) -> str:
    every = (f"every {schedule.every_s} s",) if schedule.every_s is not None else ()
    when = ", ".join((*schedule.cron, *every))
    due = f"next {schedule.next[0]:%Y-%m-%d %H:%M}" if schedule.next else "never due"
    state = "paused" if schedule.paused else due
    return f"{schedule.name:<24} {state:<24} {when} {schedule.time_zone}"
