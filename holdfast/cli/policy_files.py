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


async def store_all(holdfast: Holdfast, drafts: Sequence[PolicyDraft]) -> list[PolicyVersion]:
    """All of them, or, where one is refused, none. What extends another of them is stored, and so checked, after it."""
    names = {draft.document.name for draft in drafts}
    own = [draft for draft in drafts if not _extends_one_of(draft, names)]
    for draft in own:
        await _store(holdfast, draft, only_check=True)
    late = [draft for draft in drafts if _extends_one_of(draft, names)]
    return [stored for draft in (*own, *late) if (stored := await _store(holdfast, draft))]


def _extends_one_of(draft: PolicyDraft, names: set[str]) -> bool:
    return draft.document.extends is not None and draft.document.extends.name in names


async def _store(holdfast: Holdfast, draft: PolicyDraft, *, only_check: bool = False) -> PolicyVersion | None:
    try:
        newest = await holdfast.policies.read(draft.document.name)
    except NotFound:
        return await holdfast.policies.create(draft, only_check=only_check)
    if newest.document.written() == draft.document.written():
        return None
    return await holdfast.policies.update(draft, only_check=only_check)


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
        raise InvalidInput(f"{_named(file)} is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise InvalidInput(f"{_named(file)} holds no policy: one document is one mapping with a `name`.")
    return loaded


def checked(model: type[Model], data: dict[str, Any], file: Path | None = None) -> Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        listed = "; ".join(_told(each["loc"], each["msg"]) for each in error.errors()[:10])
        raise InvalidInput(f"{f'{_named(file)}: ' if file else ''}{listed}") from error


def _told(place: tuple[int | str, ...], said: str) -> str:
    where = ".".join(str(part) for part in place if part != "document")
    return f"{where}: {said.removeprefix('Value error, ')}" if where else said.removeprefix("Value error, ")


def _named(file: Path) -> str:
    return "standard input" if str(file) == "-" else str(file)
