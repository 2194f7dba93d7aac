"""From a few settings to deployments and routes: one model is enough, and each task may have its own."""

import re
from collections.abc import Collection, Mapping

from holdfast.errors import Misconfigured
from schemas.chat import TaskClass
from schemas.models import Deployment, ModelSettings, Route


def configured(
    *, default: str | None, routes: Mapping[str, str], bases: Mapping[str, str], keys: Collection[str]
) -> ModelSettings:
    """`routes` names a model for a task, `bases` a URL for a provider, `keys` the providers whose key is held.

    The default model stands behind every task's own, and alone where a task has none. Models at a URL of one's own may
    do without a key.
    """
    if default is None:
        if routes:
            raise Misconfigured(
                "Models are set for some kinds of task, and none for the others.",
                remedy="Set HOLDFAST_MODELS__DEFAULT too.",
            )
        return ModelSettings()
    own = {_task(task): model for task, model in routes.items()}
    names = dict.fromkeys([default, *own.values()])
    deployments = {name: _deployment(name, bases, keys) for name in names}
    orders = {task: dict.fromkeys([own.get(task, default), default]) for task in TaskClass}
    return ModelSettings(
        deployments=tuple(deployments.values()),
        routes={
            task: Route(deployments=tuple(deployments[name].name for name in order))
            for task, order in orders.items()
        },
    )


def provider_of(model: str) -> str:
    """litellm takes a bare name for one of OpenAI's."""
    return model.split("/", 1)[0] if "/" in model else "openai"


def judges_apart(settings: ModelSettings) -> bool:
    """Whether another model judges plans than makes them. A model that reviews its own plan mostly likes it."""
    plan, judge = (settings.routes.get(task, Route()) for task in (TaskClass.PLAN, TaskClass.JUDGE))
    everyone = tuple(each.name for each in settings.deployments)
    return (judge.deployments or everyone)[:1] != (plan.deployments or everyone)[:1]


def _deployment(model: str, bases: Mapping[str, str], keys: Collection[str]) -> Deployment:
    provider = provider_of(model)
    name = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")[:64]
    base = bases.get(provider)
    needs_key = provider in keys or base is None
    return Deployment(name=name, model=model, base_url=base, key=provider if needs_key else None)


def _task(name: str) -> TaskClass:
    try:
        return TaskClass(name)
    except ValueError:
        raise Misconfigured(
            f"There is no kind of task `{name}` to route.", remedy=f"Kinds are: {', '.join(TaskClass)}."
        ) from None
