"""Which models plan, judge and answer."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from holdfast.runtime.settings.fields import Seconds, Section


class ModelSettings(Section):
    """Which models plan, judge and answer. Without a key, the runbook planner works, and says so."""

    file: Path | None = Field(
        None,
        description="YAML file of models, routes, limits and prices (docs/models.md). It stands in place of `default`, "
        "`routes` and the like; keys stay in the environment.",
    )
    default: str | None = Field(None, description="The model in litellm's notation, such as `openai/gpt-5`.")
    routes: dict[str, str] = Field(
        default_factory=dict,
        description='Another model for a kind of task, as JSON: `{"judge": "openai/gpt-5-mini"}`.',
    )
    api_keys: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='Keys by provider, as JSON: `{"openai": "..."}`. `OPENAI_API_KEY`, `ANTHROPIC_API_KEY` and their '
        "like are read too. Only the `llm` worker is given them.",
    )
    api_bases: dict[str, str] = Field(
        default_factory=dict, description="Base URLs by provider, as JSON, for gateways and local servers."
    )
    allow_unknown_price: bool = Field(default=False, description="Use models whose price nobody told us.")
    prices_file: Path | None = Field(None, description="Prices per million tokens, beside the ones we ship.")
    calls_per_s: dict[str, float] = Field(
        default_factory=dict,
        description='The most calls a second by provider, of all workers together, as JSON: `{"openai": 5}`.',
    )
    when_away: Literal["runbook", "pause"] = Field(
        "runbook", description="No model answers: plan from runbooks and say so, or wait for a model."
    )
    timeout_s: Seconds = Field(120, description="Seconds a model has for one answer.")
    cache: bool = Field(
        default=True, description="Use a plan again that carried a run with the same goal to success."
    )
