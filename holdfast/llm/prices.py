"""What models cost. Prices are data: a list that ships with the version, and what settings say instead."""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from schemas.chat import TokenUsage
from schemas.models import Deployment, ModelSettings, Price

_A_DATE = re.compile(r"[-@](\d{8}|\d{4}-\d{2}-\d{2}|latest)$")
_MILLION = 1_000_000


class PriceBook:
    def __init__(self, *, settings: ModelSettings) -> None:
        self._own: Mapping[str, Price] = settings.prices

    def price_of(self, deployment: Deployment) -> Price | None:
        """The deployment's own price, or the settings', or the list's; None where nobody knows."""
        if deployment.price is not None:
            return deployment.price
        listed = _listed()
        for name in _names(deployment.model):
            price = self._own.get(name) or listed.get(name)
            if price is not None:
                return price
        return None


def cost_of(price: Price, usage: TokenUsage) -> float:
    """In US dollars. Cached input costs less only where a price for it is known."""
    cached = min(usage.cached_tokens, usage.input_tokens)
    cheap = price.input if price.cached_input is None else price.cached_input
    dollars = (
        (usage.input_tokens - cached) * price.input + cached * cheap + usage.output_tokens * price.output
    )
    return dollars / _MILLION


def _names(model: str) -> tuple[str, ...]:
    """`openai/gpt-5-2025-08-07`, without its provider, without its date."""
    bare = model.rsplit("/", 1)[-1]
    return (model, bare, _A_DATE.sub("", bare))


@cache
def _listed() -> Mapping[str, Price]:
    text = resources.files("holdfast.llm").joinpath("prices.v1.json").read_text(encoding="utf-8")
    return {name: Price.model_validate(price) for name, price in json.loads(text)["models"].items()}
