"""From the settings of a process to all that is said about models: a models file, or a few variables."""

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from holdfast.errors import Misconfigured
from holdfast.llm.configuring import configured
from holdfast.llm.models_file import read_models
from holdfast.runtime.settings import ModelSettings as Section
from schemas.models import ModelSettings, Price

_PRICES = TypeAdapter(dict[str, Price])
_IN_THE_FILE = (
    "default",
    "routes",
    "api_bases",
    "allow_unknown_price",
    "prices_file",
    "calls_per_s",
    "when_away",
    "timeout_s",
)


def settings_from(section: Section) -> ModelSettings:
    if section.file is None:
        return _from_variables(section)
    doubled = sorted(set(_IN_THE_FILE) & _said(section))
    if doubled:
        names = ", ".join(f"HOLDFAST_MODELS__{name.upper()}" for name in doubled)
        raise Misconfigured(
            f"{names} and the models file {section.file} say the same thing.",
            remedy="Say it in the file, and unset the variable. Keys alone stay in the environment.",
        )
    return settings_in(section.file)


def settings_in(file: Path) -> ModelSettings:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"The models file {file} cannot be read: {error}", remedy="Correct HOLDFAST_MODELS__FILE."
        ) from error
    return read_models(text, name=str(file))


def _said(section: Section) -> set[str]:
    """An empty map says nothing, wherever it comes from."""
    return {name for name in section.model_fields_set if getattr(section, name) not in (None, {}, False)}


def _from_variables(section: Section) -> ModelSettings:
    settings = configured(
        default=section.default, routes=section.routes, bases=section.api_bases, keys=section.api_keys
    )
    said = {
        "prices": _prices_in(section.prices_file),
        "allow_unpriced": section.allow_unknown_price,
        "calls_per_s": section.calls_per_s,
        "when_away": section.when_away,
        "timeout_s": section.timeout_s,
    }
    try:
        return ModelSettings.model_validate({**dict(settings), **said})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise Misconfigured(
            f"The models cannot be set so: {problems}.", remedy="See docs/models.md."
        ) from None


def _prices_in(file: Path | None) -> dict[str, Price]:
    if file is None:
        return {}
    try:
        return _PRICES.validate_python(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise Misconfigured(
            f"The prices in {file} cannot be read: {error}",
            remedy='Write {"model": {"input": 1.0, "output": 2.0}}, in US dollars for a million tokens.',
        ) from error
