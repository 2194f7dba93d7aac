"""What ships with Holdfast: a bundle that is safe from the first minute, and templates to start from."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.documents import resolve
from holdfast.guardian.knowledge import command_knowledge
from schemas.policies import Bundle, PolicyDocument, PolicyTemplate, PolicyVersion

_RULES = ("locked.yaml", "defaults.yaml")


@cache
def shipped_templates() -> Mapping[str, PolicyTemplate]:
    listed = _read("templates.yaml")["templates"]
    found = [PolicyTemplate.model_validate(each, extra="forbid") for each in listed]
    return {template.name: template for template in found}


@cache
def shipped_versions() -> tuple[PolicyVersion, ...]:
    return tuple(_version(each) for name in _RULES for each in _read(name)["policies"])


@cache
def shipped_bundle() -> Bundle:
    bundle = _read("bundle.yaml")
    return Bundle(
        policies=shipped_versions(),
        defaults=bundle["defaults"],
        otherwise=bundle["otherwise"],
        knowledge=command_knowledge().digest,
    )


@cache
def shipped_book() -> RuleBook:
    return RuleBook(shipped_bundle())


def _version(data: dict[str, Any]) -> PolicyVersion:
    version = data.pop("version")
    document = PolicyDocument.model_validate(data, extra="forbid")
    return PolicyVersion(
        name=document.name,
        version=version,
        document=document,
        resolved=resolve(document, templates=shipped_templates()),
        shipped=True,
        author="holdfast",
    )


def _read(name: str) -> dict[str, Any]:
    text = (files("holdfast.guardian") / "bundle" / name).read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data
