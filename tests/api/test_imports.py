"""The API answers reads while a model library would still be loading: it must never need one."""

import subprocess
import sys


def test_the_api_is_imported_without_any_model_library() -> None:
    program = "import sys, api.main; print([m for m in ('litellm', 'openai', 'tiktoken', 'numpy') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
