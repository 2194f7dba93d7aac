"""What `holdfast memory add` and `edit` say of an item besides its words: where it holds, of what it is, how much it weighs."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import click

from holdfast.cli.connection import pairs, values
from schemas.memory import MemoryContent, MemoryScope, Signature

_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%z"])
_SHARE = click.FloatRange(0, 1)
P = ParamSpec("P")
T = TypeVar("T")


def placed(command: Callable[P, T]) -> Callable[P, T]:
    """Options for where an item holds and what it is about."""
    options = (
        click.option(
            "--subject", help="For a fact: what it is about. A newer one on the same supersedes it."
        ),
        click.option("--attribute", help="For a fact: which property of the subject."),
        click.option(
            "--data", multiple=True, metavar="NAME=VALUE", help="What else it holds; JSON is understood."
        ),
        click.option("--env", "environment", help="Where it holds; everywhere without it."),
        click.option("--agent", help="For which agent; for all without it."),
        click.option("--thread", help="Only for the runs of this thread."),
        click.option(
            "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Only for runs with this label."
        ),
        click.option("--tool", help="The tool it is about."),
        click.option("--error", help="The error of that tool."),
        click.option("--alert", help="The alert it is about."),
        click.option("--runbook", help="The runbook it is about."),
        click.option("--goal-kind", help="The kind of goal it is about, as an item shows it."),
    )
    return _with(options, command)


def weighed(command: Callable[P, T]) -> Callable[P, T]:
    """Options for how long an item stands and how much it weighs."""
    options = (
        click.option("--from", "valid_from", type=_TIME, help="From when it is so."),
        click.option("--until", "valid_to", type=_TIME, help="Until when it is so."),
        click.option("--expires", "expires_at", type=_TIME, help="When it is to be retired."),
        click.option("--confidence", type=_SHARE, help="How sure it is, 0 to 1."),
        click.option("--importance", type=_SHARE, help="How much it matters in recall, 0 to 1."),
        click.option(
            "--pin/--unpin", "pinned", default=None, help="Whether it is kept however long nobody uses it."
        ),
    )
    return _with(options, command)


def _with(options: tuple[Callable[..., Any], ...], command: Callable[P, T]) -> Callable[P, T]:
    for option in reversed(options):
        command = option(command)
    return command


def about(said: dict[str, Any], standing: MemoryContent | None = None) -> dict[str, Any]:
    """The scope, the signature and the data, each where something is said of it; the rest of it is as it stands."""
    stands = standing.model_dump() if standing else {"data": {}, "scope": {}, "signature": {}}
    scope = _said(said, *MemoryScope.model_fields.keys() - {"labels"})
    if labels := pairs(said["labels"], "--label"):
        scope["labels"] = _held(stands["scope"].get("labels", {}) | labels)
    told = {
        "data": values(said["data"], "--data") | _said(said, "subject", "attribute"),
        "scope": scope,
        "signature": _said(said, *Signature.model_fields),
    }
    changed = {name: stands[name] | new for name, new in told.items() if new}
    return changed | ({"data": _held(changed["data"])} if "data" in changed else {})


def _said(options: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names if options[name] is not None}


def _held(named: dict[str, Any]) -> dict[str, Any]:
    """What has a value: one without takes the name away."""
    return {name: value for name, value in named.items() if value != ""}


def times_and_weights(said: dict[str, Any]) -> dict[str, Any]:
    """What is said of how long an item stands and how much it weighs; what is not said stays as it is."""
    times = {
        name: time.astimezone() for name, time in _said(said, "valid_from", "valid_to", "expires_at").items()
    }
    return times | _said(said, "confidence", "importance", "pinned")
