"""`holdfast config`: the settings in force, and the reference written from their models."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from holdfast.runtime.configuration import Setting, all_settings, load
from holdfast.runtime.settings import Settings

_TOP = "Everywhere"


@click.group()
def config() -> None:
    """Show settings and their reference."""


@config.command()
def show() -> None:
    """The settings in force here, as JSON; secrets are masked."""
    click.echo(load().model_dump_json(indent=2))


@config.command()
def reference() -> None:
    """All settings, as Markdown: what docs/configuration.md holds."""
    click.echo("\n".join(_markdown()))


@config.command()
def example() -> None:
    """All settings with their defaults, as an env file: what .env.example holds."""
    click.echo("\n".join(_env_file()))


def _markdown() -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield from _INTRODUCTION
    for section, settings in _sections():
        yield ""
        yield f"## {_title(section)}"
        yield ""
        if about := _about(section):
            yield about
            yield ""
        yield "| Variable | Type | Default | Meaning |"
        yield "|---|---|---|---|"
        for setting in settings:
            yield (
                f"| `{setting.variable}` | {_type(setting.field.annotation)} | {_default(setting.field)} "
                f"| {_cell(setting.field.description or '')} |"
            )


_INTRODUCTION = (
    "Written by `make docs` from `holdfast/runtime/settings/`; `make check` fails when it is stale.",
    "",
    "Settings come from the environment and from a `.env` file in the working folder; the environment wins. A name",
    "that is not listed here is an error. Lists are written with commas, maps as JSON. `holdfast config show` prints",
    "what is in force.",
    "",
    "Where Temporal is, and how to get in, is said by Temporal's own variables (`TEMPORAL_ADDRESS`,",
    "`TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, `TEMPORAL_TLS_*`, `TEMPORAL_PROFILE`) and TOML profiles.",
    "`DATABASE_URL` and `OTEL_EXPORTER_OTLP_ENDPOINT` are read as everybody expects.",
    "",
    "The `prod` profile refuses to start while one of these holds: no `DATABASE_URL`, or one with an empty or default",
    "password; neither `TEMPORAL_ADDRESS` nor `TEMPORAL_PROFILE`; no encryption keys; authentication off; an OIDC",
    "issuer without an audience; CORS open to every origin; an accepted degraded layer of the sandbox.",
)


def _env_file() -> Iterator[str]:
    yield "# Every setting with its default. Copy to .env and uncomment what you change."
    yield "# Written by `make docs`; docs/configuration.md says more."
    for section, settings in _sections():
        yield ""
        yield f"# --- {_title(section)}"
        for setting in settings:
            yield f"# {setting.field.description}"
            yield f"#{setting.variable}={_plain(setting.field)}"


def _sections() -> Iterator[tuple[str, Iterator[Setting]]]:
    yield from groupby(all_settings(), key=lambda setting: setting.section)


def _title(section: str) -> str:
    return "API" if section == "api" else section.replace("__", " ").capitalize() if section else _TOP


def _about(section: str) -> str:
    model: type[BaseModel] = Settings
    for name in section.split("__") if section else ():
        inner = model.model_fields[name].annotation
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else model
    return " ".join((model.__doc__ or "").split()) if section else ""


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list"
    if get_origin(annotation) is dict:
        return "map of secrets" if SecretStr in get_args(annotation) else "map"
    inner = [each for each in get_args(annotation) if each is not type(None)]
    if inner:
        return _type(inner[0])
    name: str = annotation.__name__
    return _TYPES.get(name, name.lower())


_TYPES = {"str": "text", "SecretStr": "secret", "bool": "on/off", "int": "number", "float": "number"}


def _default(field: FieldInfo) -> str:
    plain = _plain(field)
    return f"`{plain}`" if plain else ""


def _plain(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or value == {}:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
