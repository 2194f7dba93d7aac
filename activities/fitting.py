"""Large outputs are kept aside: what enters history is a view that fits, and a reference to the whole."""

from typing import Any

from holdfast.ports import Artifacts
from schemas.canonical import canonical_json
from schemas.stages import RunScope
from schemas.tools import ToolResult

INLINE_BYTES = 16_384
_TEXT_KEPT = 1_500
_ITEMS_KEPT = 20
_DEPTH_KEPT = 6


async def fit(result: ToolResult, scope: RunScope, shelf: Artifacts) -> ToolResult:
    """The result as it is, if small; else with its output on the shelf and a cut view in its place."""
    data = canonical_json(result.output)
    if len(data) <= INLINE_BYTES:
        return result
    artifact = await shelf.put(scope, data, content_type="application/json")
    view = cut(result.output)
    if len(canonical_json(view)) > INLINE_BYTES:
        view = {"preview": data[:_TEXT_KEPT].decode(errors="ignore")}
    return result.model_copy(update={"output": view, "artifact": artifact})


def cut(value: Any, depth: int = 0) -> Any:
    """The same shape with long texts and lists cut; a cut is always marked."""
    if isinstance(value, str) and len(value) > _TEXT_KEPT:
        return f"{value[: _TEXT_KEPT // 2]}\n… {len(value) - _TEXT_KEPT} characters cut …\n{value[-_TEXT_KEPT // 2 :]}"
    if depth >= _DEPTH_KEPT and isinstance(value, dict | list):
        return "… cut …"
    if isinstance(value, dict):
        return {key: cut(item, depth + 1) for key, item in list(value.items())[: _ITEMS_KEPT * 2]}
    if isinstance(value, list):
        kept = [cut(item, depth + 1) for item in value[:_ITEMS_KEPT]]
        return kept if len(value) <= _ITEMS_KEPT else [*kept, f"… {len(value) - _ITEMS_KEPT} more …"]
    return value
