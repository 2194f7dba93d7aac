"""The tools that ship with Holdfast."""

from collections.abc import Sequence

from holdfast.sandbox.port import Sandbox
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.builtin.files import file_tools
from holdfast.tools.builtin.git import git_tools
from holdfast.tools.builtin.host import HOST_FACTS
from holdfast.tools.builtin.programs import program_tools
from holdfast.tools.builtin.text import TEXT_TOOLS
from holdfast.tools.builtin.web import web_tools
from holdfast.tools.declare import Tool


def fast_tools() -> Sequence[Tool]:
    """Short, harmless and in process: what the fast lane may call."""
    return (calc, *TEXT_TOOLS)


def sandboxed_tools(sandbox: Sandbox) -> Sequence[Tool]:
    """What only a tools worker can do."""
    return (
        *program_tools(sandbox),
        *file_tools(sandbox),
        *git_tools(sandbox),
        *web_tools(sandbox),
        *HOST_FACTS,
    )
