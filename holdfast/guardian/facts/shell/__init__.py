"""Shell text to facts."""

from holdfast.guardian.facts.shell import (  # noqa: F401 - each registers the readers of its commands
    builtins,
    embedded,
    scripts,
    tools,
    wrappers,
)
from holdfast.guardian.facts.shell.walk import read_shell

__all__ = ["read_shell"]
