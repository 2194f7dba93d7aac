"""Programs that run inside the sandbox, by the sandbox's own Python and its standard library alone.

Each reads one JSON object from stdin and prints one. They are sent as text, never imported by the worker.
"""

from pathlib import Path


def program_text(name: str) -> str:
    """The source of one of these programs."""
    return (Path(__file__).parent / f"{name}.py").read_text()
