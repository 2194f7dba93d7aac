"""Builds the settings of a process, or says in one line what is wrong with them.

In the `prod` profile insecure defaults are refused, all of them in one list.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from holdfast.errors import Misconfigured
from holdfast.runtime.environment import PREFIX, WELL_KNOWN, read_env_file, refuse_unknown
from holdfast.runtime.settings import Settings

_GUESSABLE = frozenset({"", "postgres", "password", "holdfast", "secret", "changeme", "admin"})


@dataclass(frozen=True)
class Setting:
    """One line of the configuration reference."""

    variable: str
    section: str
    field: FieldInfo


def load(env_file: Path = Path(".env")) -> Settings:
    read_env_file(env_file)
    refuse_unknown(setting.variable for setting in all_settings())
    try:
        settings = Settings()
    except ValidationError as error:
        problems = "; ".join(_problem(entry["loc"], entry["msg"]) for entry in error.errors())
        raise Misconfigured(problems + ".", remedy="docs/configuration.md describes each setting.") from error
    except SettingsError as error:
        named = " or ".join(_not_json()) or str(error)
        raise Misconfigured(
            f"{named} cannot be read: {error.__cause__}.", remedy="Lists and maps are written as JSON."
        ) from error
    if settings.profile == "prod" and (refused := list(insecure(settings))):
        raise Misconfigured(
            "The prod profile refuses these settings: " + "; ".join(refused) + ".",
            remedy="For a try-out on your machine, set HOLDFAST_PROFILE=dev.",
        )
    return settings


def all_settings(model: type[BaseModel] = Settings, section: str = "") -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        path = f"{section}__{name}" if section else name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from all_settings(field.annotation, path)
        else:
            yield Setting(f"{PREFIX}{path}".upper(), section, field)


def insecure(settings: Settings) -> Iterator[str]:
    """What must not be so where it matters."""
    url = settings.database.url
    if url is None:
        yield "DATABASE_URL is not set"
    elif _is_guessable(url):
        yield "the password in DATABASE_URL is empty or a default one"
    if not settings.temporal.is_given:
        yield "TEMPORAL_ADDRESS or TEMPORAL_PROFILE is not set"
    if settings.temporal.encryption_keys is None:
        yield "HOLDFAST_TEMPORAL__ENCRYPTION_KEYS is not set (make one: openssl rand -base64 32)"
    if not settings.auth.enabled:
        yield "HOLDFAST_AUTH__ENABLED is off"
    if settings.auth.oidc_issuer and not settings.auth.oidc_audience:
        yield "HOLDFAST_AUTH__OIDC_AUDIENCE is not set, so tokens made for others would be accepted"
    if "*" in settings.api.cors_origins:
        yield "HOLDFAST_API__CORS_ORIGINS lets every web page in"
    if settings.sandbox.accept_degraded:
        yield "HOLDFAST_SANDBOX__ACCEPT_DEGRADED permits a weaker sandbox"


def _is_guessable(url: SecretStr) -> bool:
    """A socket has no password to guess, and neither has a client certificate; a URL naming a host does."""
    parts = urlsplit(url.get_secret_value())
    has_other_proof = "sslcert=" in parts.query or "passfile=" in parts.query
    return bool(parts.hostname) and not has_other_proof and (parts.password or "") in _GUESSABLE


def _problem(location: tuple[int | str, ...], message: str) -> str:
    """Names the variable, never its value: it may be a secret."""
    variable = f"{PREFIX}{'__'.join(map(str, location))}".upper()
    if variable not in os.environ:
        variable = next((known for known, place in WELL_KNOWN.items() if place == location), variable)
    return f"{variable}: {message.removeprefix('Value error, ')}"


def _not_json() -> Iterator[str]:
    """Variables that should be JSON and are none: pydantic names the section they are in, and no more."""
    maps = {known.variable for known in all_settings() if get_origin(known.field.annotation) is dict}
    for variable, value in sorted(os.environ.items()):
        if variable in maps or (variable.startswith(PREFIX) and value.lstrip().startswith(("{", "["))):
            try:
                json.loads(value)
            except ValueError:
                yield variable
