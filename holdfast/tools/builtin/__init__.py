"""The tools that ship with Holdfast."""

from collections.abc import Sequence

from holdfast.sandbox.port import Sandbox, SecretSource
from holdfast.tools.builtin.calculator import calc
from holdfast.tools.builtin.files import file_tools
from holdfast.tools.builtin.git import git_tools
from holdfast.tools.builtin.host import HOST_FACTS
from holdfast.tools.builtin.human import ask
from holdfast.tools.builtin.mail import mail_tools
from holdfast.tools.builtin.programs import program_tools
from holdfast.tools.builtin.search import Remembering, Searching, memory_search, runbook_search
from holdfast.tools.builtin.sql import Queries, sql_tools
from holdfast.tools.builtin.text import TEXT_TOOLS
from holdfast.tools.builtin.todo import Todos, todo_reader, todo_writers
from holdfast.tools.builtin.web import web_tools
from holdfast.tools.declare import Tool


def fast_tools(
    *, todos: Todos | None = None, library: Searching | None = None, memory: Remembering | None = None
) -> Sequence[Tool]:
    """Short, harmless and in process: what the fast lane may call. What is not given is not offered."""
    return (
        calc,
        *TEXT_TOOLS,
        *([todo_reader(todos)] if todos else []),
        *([runbook_search(library)] if library else []),
        *([memory_search(memory)] if memory else []),
    )


def sandboxed_tools(
    sandbox: Sandbox,
    *,
    todos: Todos | None = None,
    queries: Queries | None = None,
    secrets: SecretSource | None = None,
) -> Sequence[Tool]:
    """What only a tools worker can do."""
    return (
        *program_tools(sandbox),
        *file_tools(sandbox),
        *git_tools(sandbox),
        *web_tools(sandbox),
        *HOST_FACTS,
        ask,
        *(todo_writers(todos) if todos else ()),
        *(sql_tools(queries, secrets) if queries and secrets else ()),
        *(mail_tools(secrets) if secrets else ()),
    )
