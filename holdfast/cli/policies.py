"""`holdfast policies`: write, try, activate and roll back policies."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from holdfast.cli import policy_bundles as chosen
from holdfast.cli import policy_files as files
from holdfast.cli import policy_view as view
from holdfast.cli.connection import as_json, ask, pairs, print_json, report, values
from schemas.policies import PolicyRef
from schemas.policy_desk import ActivationRequest, BacktestRequest, RollbackRequest, TrialRequest

draft_file = click.argument("file", type=click.Path(path_type=Path, allow_dash=True, exists=True))
note = click.option("--note", default="", help="Why, for the history.")
days = click.option("--days", default=30.0, show_default=True, help="How far to look back.")


@click.group()
def policies() -> None:
    """Write, test, activate and roll back policies.

    A document is a YAML file. Storing it makes a version that never changes; it counts once it is activated.
    """


@policies.command("ls")
@as_json
def list_policies(*, as_json: bool) -> None:
    """Every policy: its newest version, and the one in force."""
    found = ask(lambda holdfast: holdfast.policies.all())
    print_json(*found) if as_json else view.states(found)


@policies.command()
@click.argument("name", metavar="NAME[@VERSION]")
@as_json
def show(name: str, *, as_json: bool) -> None:
    """One version as YAML, as its author wrote it; the newest unless one is named."""
    policy, version = _versioned(name)
    found = ask(lambda holdfast: holdfast.policies.read(policy, version))
    print_json(found) if as_json else view.version(found)


@policies.command()
@draft_file
@note
@as_json
def create(file: Path, note: str, *, as_json: bool) -> None:
    """Store a new policy from a YAML file, or from standard input with `-`."""
    draft = files.draft_of(file, note)
    stored = ask(lambda holdfast: holdfast.policies.create(draft))
    print_json(stored) if as_json else view.stored(stored)


@policies.command()
@draft_file
@note
@as_json
def update(file: Path, note: str, *, as_json: bool) -> None:
    """Store a new version of the policy the file names."""
    draft = files.draft_of(file, note)
    stored = ask(lambda holdfast: holdfast.policies.update(draft))
    print_json(stored) if as_json else view.stored(stored)


@policies.command()
@click.argument("name")
@as_json
def retire(name: str, *, as_json: bool) -> None:
    """Leave a policy out of every later bundle."""
    ask(lambda holdfast: holdfast.policies.retire(name))
    words = f"{name} is retired. It stays in force until the next `holdfast policies activate`."
    report(words, as_json=as_json, retired=name)


@policies.command()
@click.argument("name", metavar="NAME@VERSION")
@as_json
def discard(name: str, *, as_json: bool) -> None:
    """Delete a draft: a version no bundle ever named."""
    policy, version = _versioned(name)
    if version is None:
        raise click.BadParameter("Say which version: NAME@VERSION.")
    ask(lambda holdfast: holdfast.policies.discard(policy, version))
    report(f"{name} is deleted.", as_json=as_json, deleted=name)


@policies.command()
@click.argument("name", required=False)
@as_json
def history(name: str | None, *, as_json: bool) -> None:
    """The activations; with a NAME, the versions of that policy."""
    if name is not None:
        versions = ask(lambda holdfast: holdfast.policies.versions(name))
        print_json(*versions) if as_json else view.versions(versions)
        return
    moves = ask(lambda holdfast: holdfast.policies.activations())
    print_json(*moves) if as_json else view.activations(moves)


@policies.command()
@click.argument("name", required=False)
@click.argument("before", type=int, required=False)
@click.argument("after", type=int, required=False)
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    metavar="BUNDLE",
    help="Compare bundles: at most two, each the number or the digest of an activation.",
)
@as_json
def diff(
    name: str | None, before: int | None, after: int | None, bundles: tuple[str, ...], *, as_json: bool
) -> None:
    """What two versions of a policy, or two bundles, say differently.

    Without NAME: what `activate` would change of what is in force; with one --bundle, what has changed since that one.
    """
    if name is None:
        between = ask(lambda holdfast: chosen.between(holdfast, bundles))
        print_json(between) if as_json else view.bundle_diff(between)
        return
    if before is None or after is None or bundles:
        raise click.UsageError("Compare versions with NAME BEFORE AFTER, or bundles with --bundle.")
    found = ask(lambda holdfast: holdfast.policies.diff(name, before, after))
    print_json(found) if as_json else view.diff(found)


@policies.command()
@click.argument("names", nargs=-1, metavar="[NAME@VERSION]...")
@click.option("--remove", multiple=True, metavar="NAME", help="Take this one out.")
@note
@as_json
def activate(names: tuple[str, ...], remove: tuple[str, ...], note: str, *, as_json: bool) -> None:
    """Put policies in force: those named beside what is in force now, or the newest version of all."""
    request = ActivationRequest(policies=_refs(names), remove=remove, note=note)
    move = ask(lambda holdfast: holdfast.policies.activate(request))
    print_json(move) if as_json else view.activated(move)


@policies.command()
@click.option(
    "--to", type=click.IntRange(1), help="The number of an activation; without it, the bundle before."
)
@note
@as_json
def rollback(to: int | None, note: str, *, as_json: bool) -> None:
    """Put an earlier bundle in force again, as it was."""
    move = ask(lambda holdfast: holdfast.policies.rollback(RollbackRequest(to=to, note=note)))
    print_json(move) if as_json else view.activated(move)


@policies.command()
@as_json
def templates(*, as_json: bool) -> None:
    """Rules with blanks to start from."""
    found = ask(lambda holdfast: holdfast.policies.templates())
    print_json(*found) if as_json else view.templates(found)


@policies.command("test")
@click.argument("command", required=False)
@click.option(
    "--draft",
    type=click.Path(path_type=Path, allow_dash=True, exists=True),
    help="Try this document beside the rest.",
)
@click.option("--tool", default="shell", show_default=True, help="The tool that is called.")
@click.option(
    "--payload", default="shell", show_default=True, help="What its arguments carry: shell, python, http …"
)
@click.option(
    "--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="An argument; JSON is understood."
)
@click.option("--env", "environment", default="dev", show_default=True, help="Where it is called.")
@click.option("--agent", default="operator", show_default=True, help="Who calls it.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label of its run.")
@click.option("--tainted", multiple=True, metavar="ARGUMENT", help="Its text came from outside.")
@click.option("--swayed", is_flag=True, help="A model chose it that had text from outside before it.")
@click.option(
    "--all", "everything", is_flag=True, help="Also the rules of other environments, tools and agents."
)
@as_json
def try_action(
    command: str | None,
    draft: Path | None,
    *,
    arguments: tuple[str, ...],
    labels: tuple[str, ...],
    everything: bool,
    as_json: bool,
    **rest: object,
) -> None:
    """What would be decided on one action, and what every rule makes of it.

    COMMAND is the argument `command` of a shell; other tools are described with --tool, --payload and --arg.
    """
    given = values(arguments, "--arg") | ({"command": command} if command is not None else {})
    action = {**rest, "arguments": given, "labels": pairs(labels, "--label")}
    wanted: dict[str, Any] = {"action": action} | ({"draft": files.loaded(draft)} if draft else {})
    request = files.checked(TrialRequest, wanted)
    found = ask(lambda holdfast: holdfast.policies.trial(request))
    print_json(found) if as_json else view.explanation(found, everything=everything)


@policies.command()
@click.argument("names", nargs=-1, metavar="[NAME@VERSION]...")
@click.option("--remove", multiple=True, metavar="NAME", help="As if this one were taken out.")
@click.option(
    "--draft",
    "drafts",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="As if this were in force.",
)
@days
@click.option("--limit", default=100_000, show_default=True, help="At most so many actions, newest first.")
@as_json
def backtest(
    names: tuple[str, ...], remove: tuple[str, ...], drafts: tuple[Path, ...], *, as_json: bool, **rest: float
) -> None:
    """Decide recorded actions again, as if these were in force: what would change."""
    wanted = {
        **rest,
        "policies": _refs(names),
        "remove": remove,
        "drafts": [files.loaded(file) for file in drafts],
    }
    request = files.checked(BacktestRequest, wanted)
    found = ask(lambda holdfast: holdfast.policies.backtest(request))
    print_json(found) if as_json else view.backtest(found)


@policies.command()
@click.argument("name")
@days
@as_json
def experiment(name: str, days: float, *, as_json: bool) -> None:
    """How a policy in rollout `ab` does, beside the runs in which it only watches."""
    found = ask(lambda holdfast: holdfast.policies.experiment(name, days=days))
    print_json(found) if as_json else view.experiment(found)


@policies.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@as_json
def export(folder: Path, *, as_json: bool) -> None:
    """Write the newest version of every policy of yours as FOLDER/NAME.yaml, for git."""
    folder.mkdir(parents=True, exist_ok=True)
    found = ask(files.own_policies)
    for version in found:
        (folder / f"{version.name}.yaml").write_text(view.as_yaml(version.document), encoding="utf-8")
    words = f"{len(found)} policies written to {folder}."
    report(words, as_json=as_json, written=[version.name for version in found])


@policies.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@note
@as_json
def import_files(paths: tuple[Path, ...], note: str, *, as_json: bool) -> None:
    """Store files, or folders of them: new policies are created, changed ones get a new version, others are left.

    All are checked before the first is stored.
    """
    drafts = [files.draft_of(file, note) for file in files.yaml_files(paths)]
    changed = ask(lambda holdfast: files.store_all(holdfast, drafts))
    if as_json:
        print_json(*changed)
        return
    for version in changed:
        view.stored(version)
    click.echo(
        f"{len(changed)} of {len(drafts)} policies changed. Put them in force: holdfast policies activate"
    )


def _refs(names: Iterable[str]) -> tuple[PolicyRef, ...]:
    refs = [_versioned(name) for name in names]
    for name, version in refs:
        if version is None:
            raise click.BadParameter(f"Say which version of {name}: {name}@VERSION.")
    return tuple(PolicyRef(name=name, version=version) for name, version in refs if version is not None)


def _versioned(text: str) -> tuple[str, int | None]:
    name, separator, version = text.partition("@")
    if separator and not version.isdigit():
        raise click.BadParameter(f"{text!r} is not NAME@VERSION.")
    return name, int(version) if separator else None
