"""Policies as YAML files: read and checked on the way in, compared with what is stored."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from holdfast.client import Holdfast
from holdfast.errors import InvalidInput, NotFound
from schemas.policies import PolicyVersion
from schemas.policy_desk import BacktestRequest, PolicyDraft, TrialRequest

Model = TypeVar("Model", PolicyDraft, TrialRequest, BacktestRequest)


async def own_policies(holdfast: Holdfast) -> list[PolicyVersion]:
    states = [state for state in await holdfast.policies.all() if not state.shipped and not state.retired]
    return [await holdfast.policies.read(state.name, state.newest) for state in states]


async def store(holdfast: Holdfast, draft: PolicyDraft) -> PolicyVersion | None:
    try:
        newest = await holdfast.policies.read(draft.document.name)
    except NotFound:
        return await holdfast.policies.create(draft)
    if newest.document.written() == draft.document.written():
        return None
    return await holdfast.policies.update(draft)


def yaml_files(given: Iterable[Path]) -> Sequence[Path]:
    found = [sorted(path.glob("*.yaml")) if path.is_dir() else [path] for path in given]
    return [file for files in found for file in files]


def draft_of(file: Path, note: str) -> PolicyDraft:
    return checked(PolicyDraft, {"document": loaded(file), "change_note": note}, file)


def loaded(file: Path) -> dict[str, Any]:
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        loaded = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise InvalidInput(f"{file} holds no policy: one document is one mapping with a `name`.")
    return loaded


def checked(model: type[Model], data: dict[str, Any], file: Path | None = None) -> Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{f'{file}: ' if file else ''}{where}: {first['msg']}") from error
