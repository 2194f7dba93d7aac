"""litellm costs seconds and 170 MB: only the process that calls models may pay for it."""

import subprocess
import sys

import pytest

_ENTRIES = (
    "workflows.agent_run",
    "activities.think",
    "workers.main",
    "api.main",
    "holdfast.cli.main",
    "holdfast.cli.models",
    "holdfast.llm.caller",
    "holdfast.llm.panels.panel",
    "holdfast.adapters.llm.layer",
    "holdfast.testing.model_server",
)


@pytest.mark.parametrize("module", _ENTRIES)
def test_importing_it_brings_neither_litellm_nor_openai(module: str) -> None:
    program = (
        f"import sys, {module}\n"
        "found = sorted({name.split('.')[0] for name in sys.modules} & {'litellm', 'openai'})\n"
        "sys.stdout.write(','.join(found)); sys.stdout.flush()\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
