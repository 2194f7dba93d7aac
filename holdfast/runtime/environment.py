"""The environment as a source of settings: variables everybody knows, a `.env` file, and names nobody knows."""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dotenv import dotenv_values
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from holdfast.errors import Misconfigured

PREFIX = "HOLDFAST_"

TOOL_SECRETS = f"{PREFIX}SECRET_"
"""Secrets that the egress proxy adds to requests of tools; people choose the rest of the name."""

WELL_KNOWN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "DATABASE_URL": ("database", "url"),
        "TEMPORAL_ADDRESS": ("temporal", "address"),
        "TEMPORAL_PROFILE": ("temporal", "profile"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": ("telemetry", "otlp_endpoint"),
    }
)
MODEL_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "ANTHROPIC_API_KEY": "anthropic",
        "AZURE_API_KEY": "azure",
        "DEEPSEEK_API_KEY": "deepseek",
        "GEMINI_API_KEY": "gemini",
        "GROQ_API_KEY": "groq",
        "MISTRAL_API_KEY": "mistral",
        "OPENAI_API_KEY": "openai",
        "OPENROUTER_API_KEY": "openrouter",
        "XAI_API_KEY": "xai",
    }
)
_OURS_WITHOUT_SETTING = frozenset(
    {"HOLDFAST_API_KEY", "HOLDFAST_API_URL", "HOLDFAST_TENANT", "HOLDFAST_SANDBOX_STORE"}
)
"""Options of commands that do not read the settings."""


class WellKnownVariables(PydanticBaseSettingsSource):
    """`DATABASE_URL` and its like, as if they had been written under our own names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Asked for by the base class; we answer for all fields at once, below."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        for variable, (section, field) in WELL_KNOWN.items():
            if value := os.environ.get(variable):
                found.setdefault(section, {})[field] = value
        keys = {provider: os.environ[name] for name, provider in MODEL_KEYS.items() if os.environ.get(name)}
        return {**found, "models": {"api_keys": keys}} if keys else dict(found)


def read_env_file(path: Path = Path(".env")) -> None:
    """Put the file's variables into the environment, where Temporal's SDK and our children find them too.

    What the environment says already stands.
    """
    if not path.is_file():
        return
    try:
        variables = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{path} cannot be read: {error}.", remedy="It has lines of NAME=value in UTF-8."
        ) from error
    for name, value in variables.items():
        if value is not None:
            os.environ.setdefault(name, value)


def refuse_unknown(known: Iterable[str]) -> None:
    """A misspelt variable would otherwise be a setting that silently keeps its default."""
    names = sorted(known)
    for variable in sorted(os.environ):
        if not variable.startswith(PREFIX) or variable.startswith(TOOL_SECRETS):
            continue
        if variable in _OURS_WITHOUT_SETTING:
            continue
        if not any(variable.upper() == name or variable.upper().startswith(f"{name}__") for name in names):
            close = difflib.get_close_matches(variable.upper(), names, n=1)
            raise Misconfigured(
                f"There is no setting {variable}.",
                remedy=f"Did you mean {close[0]}?" if close else "docs/configuration.md lists all settings.",
            )


def without_secrets(
    environment: Mapping[str, str], *, model_keys: bool, tool_secrets: bool
) -> dict[str, str]:
    """The environment of a process that calls no models, or no tools: what it does not need, it cannot leak."""
    return {
        name: value
        for name, value in environment.items()
        if not (model_keys and _is_model_key(name)) and not (tool_secrets and name.startswith(TOOL_SECRETS))
    }


def _is_model_key(name: str) -> bool:
    return name in MODEL_KEYS or name.upper().startswith(f"{PREFIX}MODELS__API_KEYS")
