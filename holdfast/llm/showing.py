"""Deployments as people are shown them: with what they cost and how they are, without addresses and keys."""

from collections.abc import Iterable, Sequence

from holdfast.llm.configuring import provider_of
from holdfast.llm.prices import PriceBook
from schemas.models import Breaker, Deployment, DeploymentView, ModelSettings


def views_of(settings: ModelSettings, breakers: Iterable[Breaker]) -> Sequence[DeploymentView]:
    book = PriceBook(settings=settings)
    health = {breaker.deployment: breaker for breaker in breakers}
    return [_view(each, settings, book, health.get(each.name)) for each in settings.deployments]


def _view(
    each: Deployment, settings: ModelSettings, book: PriceBook, breaker: Breaker | None
) -> DeploymentView:
    provider = each.provider or provider_of(each.model)
    return DeploymentView(
        name=each.name,
        model=each.model,
        provider=provider,
        calls_per_s=each.calls_per_s or settings.calls_per_s.get(provider),
        context_tokens=each.context_tokens,
        output_tokens=each.output_tokens,
        strength=each.strength,
        residency=each.residency,
        price=book.price_of(each),
        breaker=breaker,
    )
