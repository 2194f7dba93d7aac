"""How a command reaches the API: what the environment says, else the stack that runs here."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click
from pydantic import BaseModel, ValidationError

from holdfast.client import Holdfast
from holdfast.embedded.state import api_key_file, read_state
from holdfast.errors import InvalidInput, Misconfigured
from holdfast.runtime.configuration import load

Result = TypeVar("Result")
Model = TypeVar("Model", bound=BaseModel)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def ask(work: Callable[[Holdfast], Awaitable[Result]]) -> Result:
    """Do something with a connection, and close it."""

    async def connected() -> Result:
        async with connect() as holdfast:
            return await work(holdfast)

    return asyncio.run(connected())


def connect() -> Holdfast:
    url, key = os.environ.get("HOLDFAST_API_URL"), os.environ.get("HOLDFAST_API_KEY")
    if url and key:
        return Holdfast(url, key)
    settings = load()
    state = read_state(settings.data_dir)
    if url is None and state is None:
        raise Misconfigured(
            "No API is known.",
            remedy="Start one here with `holdfast up`, or set HOLDFAST_API_URL and HOLDFAST_API_KEY.",
        )
    return Holdfast(url or (state.api_url if state else ""), key or _kept_key(settings.data_dir))


def checked(model: type[Model], given: Mapping[str, object]) -> Model:
    """What was typed, as the API wants it; what it would refuse is refused here, in a word people can use."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{place}: {said}." if place else f"{said}.") from error


def print_json(*items: BaseModel) -> None:
    """One line each, for other programs."""
    for item in items:
        click.echo(item.model_dump_json())


def report(words: str, *, as_json: bool, **facts: object) -> None:
    """What a command did that has nothing to show: in words, or as one line for other programs."""
    click.echo(json.dumps(facts) if as_json else words)


def pairs(given: tuple[str, ...], option: str) -> dict[str, str]:
    """`name=value` options as a mapping."""
    found = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{pair!r} is not name=value.", param_hint=option)
        found[name] = value
    return found


def values(given: tuple[str, ...], option: str) -> dict[str, object]:
    """The same, where a value that reads as JSON is JSON: `--input count=3 --input hosts='["a"]'`."""
    return {name: value_of(text) for name, text in pairs(given, option).items()}


def value_of(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _kept_key(data_dir: Path) -> str:
    file = api_key_file(data_dir)
    try:
        return file.read_text().strip()
    except FileNotFoundError as error:
        raise Misconfigured(
            "There is no API key here.",
            remedy="Set HOLDFAST_API_KEY to one that `holdfast keys create` made.",
        ) from error
