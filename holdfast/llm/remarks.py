"""What settings of models mean, before anything is called: where each kind of task would go, and what to look at."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from holdfast.errors import Conflict
from holdfast.llm.configuring import judges_apart
from holdfast.llm.exhaustion import nobody_answers
from holdfast.llm.prices import PriceBook
from holdfast.llm.router import Known, Load, choose
from schemas.chat import TaskClass
from schemas.models import ModelSettings
from schemas.routing import Complexity, Errand, RouteDecision

_TYPICAL = Load(input_tokens=6000, output_tokens=4000)
_SMALL = Load(input_tokens=500, output_tokens=500)
_ORDINARY = Complexity(score=0.3)


def decisions_for(settings: ModelSettings) -> Mapping[TaskClass, RouteDecision]:
    """For a call of ordinary size, with every deployment in good health and nothing known of its past."""
    known = Known(now=datetime.now(UTC), breakers={}, records={})
    prices = PriceBook(settings=settings)
    return {
        task: choose(
            Errand(tenant="default", task=task, complexity=_ORDINARY), _TYPICAL, settings, prices, known
        )
        for task in TaskClass
    }


def require_model(task: TaskClass, settings: ModelSettings) -> None:
    """Refuses what not even a small call would find a model for, before workers try it over and over."""
    known = Known(now=datetime.now(UTC), breakers={}, records={})
    errand = Errand(tenant="default", task=task, complexity=_ORDINARY)
    decision = choose(errand, _SMALL, settings, PriceBook(settings=settings), known)
    if not decision.order:
        told = nobody_answers(decision, known, ())
        raise Conflict(told.message, remedy=told.remedy)


def remarks_on(settings: ModelSettings, *, keys: Collection[str]) -> Iterator[str]:
    """`keys` are those held here; the llm worker may hold others."""
    book = PriceBook(settings=settings)
    for each in settings.deployments:
        if book.price_of(each) is None:
            fate = "counts as free" if settings.allow_unpriced else "is not called"
            yield f"{each.name}: no price is known for {each.model}, so it {fate}"
        if each.key is not None and each.key not in keys:
            yield f"{each.name}: its key `{each.key}` is not set here; the llm worker needs it"
    for task, decision in decisions_for(settings).items():
        if not decision.order and task is not TaskClass.EMBED:
            yield f"{task}: no deployment serves it"
    if settings.review == "auto" and settings.deployments and not judges_apart(settings):
        yield "plans are not judged: the same model would judge its own (`review: always` makes it)"
