"""The models file: all that a deployment of Holdfast says about models, as YAML. Read strictly, because a misspelt limit
would otherwise be no limit; every mistake is told at once, with its line."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from holdfast.errors import Misconfigured
from holdfast.llm.configuring import provider_of
from schemas.models import ModelSettings

_A_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LIKE_A_KEY = re.compile(r"(?:sk|pk|rk|gsk|xai)-")
Place = tuple[int | str, ...]


def read_models(text: str, *, name: str) -> ModelSettings:
    """Raises Misconfigured with all that is wrong. `name` is what the file is called in that message."""
    tree = _tree_of(text, name)
    said = yaml.safe_load(text)
    if not isinstance(said, dict) or not said.get("deployments"):
        raise _refused(name, ["it lists no `deployments`"])
    try:
        settings = ModelSettings.model_validate(_spelt_out(said), extra="forbid")
    except ValidationError as error:
        problems = [_told(tree, each["loc"], each["type"], each["msg"]) for each in error.errors()]
        raise _refused(name, problems) from None
    if problems := list(_contradictions(settings)):
        raise _refused(name, problems)
    return settings


def _tree_of(text: str, name: str) -> yaml.Node | None:
    try:
        tree: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise _refused(name, [f"line {line}: it is not YAML: {error.problem}"]) from None
    return tree


def _spelt_out(said: Mapping[str, Any]) -> dict[str, Any]:
    """The short forms: a route may be its list of deployments alone, a key the one of the model's provider."""
    whole = dict(said)
    if isinstance(routes := whole.get("routes"), dict):
        whole["routes"] = {task: _route(route) for task, route in routes.items()}
    if isinstance(deployments := whole["deployments"], list):
        whole["deployments"] = [_deployment(each) for each in deployments]
    return whole


def _route(route: Any) -> Any:
    if isinstance(route, str):
        return {"deployments": [route]}
    return {"deployments": route} if isinstance(route, list) else route


def _deployment(said: Any) -> Any:
    """A model at a place of one's own may do without a key; every other needs its provider's."""
    if not isinstance(said, dict) or "key" in said or said.get("base_url"):
        return said
    model = said.get("model")
    return {**said, "key": said.get("provider") or provider_of(model)} if isinstance(model, str) else said


def _contradictions(settings: ModelSettings) -> Iterator[str]:
    """What each part may say, and all together may not."""
    names = [each.name for each in settings.deployments]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two deployments are called `{name}`"
    for each in settings.deployments:
        if each.key is not None and (not _A_NAME.fullmatch(each.key) or _LIKE_A_KEY.match(each.key)):
            yield f"deployment `{each.name}`: `key` says under which name the worker holds it, as `openai`; never the key"
    for task, route in settings.routes.items():
        arms = [arm.deployment for arm in route.experiment.arms] if route.experiment else []
        for name in dict.fromkeys([*route.deployments, *arms]):
            if name not in names:
                yield f"the route of `{task}` names `{name}`; deployments are: {', '.join(names)}"
        if route.residency and not any(route.residency in each.residency for each in settings.deployments):
            yield f"the route of `{task}` asks for `{route.residency}`, a label that no deployment carries"
    providers = {each.provider or provider_of(each.model) for each in settings.deployments}
    for provider in sorted(set(settings.calls_per_s) - providers):
        yield f"`calls_per_s` names `{provider}`; providers here are: {', '.join(sorted(providers))}"


def _refused(name: str, problems: list[str]) -> Misconfigured:
    listed = "; ".join(problems)
    return Misconfigured(
        f"{name} cannot be used: {listed}.",
        remedy="docs/models.md describes the file; `holdfast models check` tells what it means.",
    )


def _told(tree: yaml.Node | None, place: Place, kind: str, message: str) -> str:
    where = ".".join(str(part) for part in place if part != "[key]") or "the file"
    what = "there is no such field" if kind == "extra_forbidden" else message
    return f"line {_line_of(tree, place)}: {where}: {what}"


def _line_of(tree: yaml.Node | None, place: Place) -> int:
    """The line of what is wrong, or of the nearest thing around it that stands in the file."""
    node, line = tree, tree.start_mark.line if tree else 0
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1
