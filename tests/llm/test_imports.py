"""litellm costs seconds and 170 MB: only the process that calls models may pay for it."""

import subprocess
import sys

import pytest

_HEAVY = frozenset({"litellm", "openai"})
_ENTRIES = (
    "workflows.agent_run",
    "activities.think",
    "workers.main",
    "workers.queues.orchestration",
    "workers.queues.tools",
    "workers.queues.knowledge",
    "workers.queues.llm",
    "api.main",
    "holdfast.cli.main",
    "holdfast.cli.models",
    "holdfast.llm.caller",
    "holdfast.llm.panels.panel",
    "holdfast.adapters.llm.layer",
    "holdfast.testing.model_server",
)


def brought_by(module: str) -> set[str]:
    program = (
        f"import sys, {module}\n"
        "sys.stdout.write(','.join({name.split('.')[0] for name in sys.modules})); sys.stdout.flush()\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split(","))


@pytest.mark.parametrize("module", _ENTRIES)
def test_importing_it_brings_neither_litellm_nor_openai(module: str) -> None:
    assert not brought_by(module) & _HEAVY


def test_what_workflows_import_cannot_reach_the_network() -> None:
    assert not brought_by("workflows.agent_run") & {"httpx", "requests", "aiohttp", "psycopg"}
