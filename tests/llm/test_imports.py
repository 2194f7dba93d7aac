"""litellm costs seconds and 170 MB: only the process that calls models may pay for it."""

import json
import subprocess
import sys

import pytest

_HEAVY = frozenset({"litellm", "openai"})
_ENTRIES = (  # imported in this order: workflows first, as they must bring least
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


def brought_by(*modules: str) -> dict[str, set[str]]:
    """What is loaded after each of these was imported, in this order, in a fresh process."""
    program = (
        "import importlib, json, os, sys\n"
        "brought = {}\n"
        f"for module in {list(modules)!r}:\n"
        "    importlib.import_module(module)\n"
        "    brought[module] = sorted({name.split('.')[0] for name in sys.modules})\n"
        "sys.stdout.write(json.dumps(brought)); sys.stdout.flush(); os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=90
    )
    return {module: set(names) for module, names in json.loads(done.stdout).items()}


@pytest.fixture(scope="module")
def brought() -> dict[str, set[str]]:
    return brought_by(*_ENTRIES)


def test_no_entry_but_a_model_call_brings_litellm_or_openai(brought: dict[str, set[str]]) -> None:
    assert not {module: names & _HEAVY for module, names in brought.items() if names & _HEAVY}


def test_what_workflows_import_cannot_reach_the_network(brought: dict[str, set[str]]) -> None:
    assert not brought["workflows.agent_run"] & {"httpx", "requests", "aiohttp", "psycopg"}
