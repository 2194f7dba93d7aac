"""Documents resolved: templates and parents filled in, so that a version says everything itself."""

from collections.abc import Mapping
from typing import Any

from holdfast.guardian.combining import STRICTNESS
from holdfast.guardian.source import ConditionProblem
from schemas.policies import PolicyDocument, PolicyTemplate, PolicyVersion

_OWN = frozenset({"name", "template", "extends", "params", "parameters", "examples", "expires_at"})


def resolve(
    document: PolicyDocument, *, templates: Mapping[str, PolicyTemplate], parent: PolicyVersion | None = None
) -> PolicyDocument:
    """The document with all it inherits. Raises ConditionProblem for a base that is missing or would be loosened."""
    base = _base(document, templates, parent)
    if base is None:
        return document
    inherited = {
        name: value for name, value in base.written().items() if name not in _OWN or name == "parameters"
    }
    written = document.written()
    merged: dict[str, Any] = {**inherited, **written}
    merged["parameters"] = {**inherited.get("parameters", {}), **written.get("parameters", {})}
    merged["params"] = {**base.written().get("params", {}), **written.get("params", {})}
    resolved = PolicyDocument.model_validate(merged)
    _refuse_loosening(base, resolved)
    return resolved


def _base(
    document: PolicyDocument, templates: Mapping[str, PolicyTemplate], parent: PolicyVersion | None
) -> PolicyDocument | None:
    if document.template:
        template = templates.get(document.template)
        if template is None:
            known = ", ".join(sorted(templates))
            raise ConditionProblem(f"there is no template {document.template}; there are: {known}")
        return template.document.model_copy(update={"parameters": template.parameters})
    if document.extends:
        if parent is None:
            raise ConditionProblem(
                f"there is no policy {document.extends.name}@{document.extends.version} to extend"
            )
        return parent.resolved
    return None


def _refuse_loosening(base: PolicyDocument, child: PolicyDocument) -> None:
    if not base.locked or base.effect is None or child.effect is None:
        return
    if not child.locked or STRICTNESS[child.effect] < STRICTNESS[base.effect]:
        raise ConditionProblem("what extends a locked policy stays locked and is at least as strict")
