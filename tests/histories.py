"""Histories as they are committed: what names the machine that recorded them is left out."""

import json
import re
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory

_WORKER = re.compile(r'"\d+@[\w.-]+?(-[0-9a-f]{32})?"')


def write_down(history: WorkflowHistory, file: Path) -> None:
    nameless = _WORKER.sub(r'"worker\1"', history.to_json())
    file.write_text(json.dumps(_without_traces(json.loads(nameless)), indent=2))


def _without_traces(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_traces(inner) for key, inner in value.items() if key != "stackTrace"}
    if isinstance(value, list):
        return [_without_traces(inner) for inner in value]
    return value
