"""Shell text to facts."""

from holdfast.guardian.facts.shell import special  # noqa: F401 - registers the readers of wrappers and languages
from holdfast.guardian.facts.shell.walk import read_shell

__all__ = ["read_shell"]
