"""The public door: one action in, one `Facts` out, whatever the input."""

from collections.abc import Callable
from typing import Any

from holdfast.guardian.facts.action import ActionView
from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.languages.python import read_python
from holdfast.guardian.facts.languages.sql import read_sql
from holdfast.guardian.facts.payloads import read_file_action, read_http, read_mcp
from holdfast.guardian.facts.shell import read_shell
from holdfast.guardian.knowledge import command_knowledge
from schemas.facts import Effect, Facts

_TEXT_KEYS = {
    "shell": ("command", "script", "cmd", "code"),
    "python": ("code", "script", "source"),
    "sql": ("sql", "query", "statement"),
}


def extract_facts(action: ActionView) -> Facts:
    """Facts about `action`. Same input, same answer; never raises for what the arguments contain."""
    draft = Draft(action.kind, command_knowledge(), action.workspace)
    draft.tainted = tuple(sorted(action.tainted))
    _READERS[action.kind](action, draft)
    if draft.tainted and ((action.kind == "none" and not action.declared_read_only) or _changes(draft)):
        draft.unknown(f"untrusted text chooses {', '.join(draft.tainted)}")
    return draft.freeze()


def _changes(draft: Draft) -> bool:
    return bool(draft.effects - {Effect.READ})


def _shell(action: ActionView, draft: Draft) -> None:
    for text in _texts(action, draft):
        read_shell(text, draft)


def _python(action: ActionView, draft: Draft) -> None:
    for text in _texts(action, draft):
        read_python(text, draft, lambda script: _nested_shell(script, draft))


def _nested_shell(script: str, draft: Draft) -> None:
    read_shell(script, draft, depth=1)


def _sql(action: ActionView, draft: Draft) -> None:
    for text in _texts(action, draft):
        for finding in read_sql(text, draft):
            draft.unknown(f"sql: {finding}")


def _texts(action: ActionView, draft: Draft) -> list[str]:
    """Every argument that carries the language; an action without one is not understood."""
    found = [action.arguments[key] for key in _TEXT_KEYS[action.kind] if key in action.arguments]
    texts = [_as_text(value) for value in found]
    if not texts or any(text is None for text in texts):
        draft.unknown(f"{action.tool}: no {action.kind} text among its arguments")
    return [text for text in texts if text is not None]


def _as_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return " ".join(_quoted(item) for item in value)
    return None


def _quoted(item: str) -> str:
    return "'" + item.replace("'", "'\"'\"'") + "'"


def _none(action: ActionView, draft: Draft) -> None:
    """A tool of the platform itself: its declaration is the catalogue's, not the caller's."""
    if action.declared_read_only:
        draft.effect({Effect.READ}, action.tool)
    else:
        draft.effect({Effect.WRITE}, action.tool)


_READERS: dict[str, Callable[[ActionView, Draft], None]] = {
    "none": _none,
    "shell": _shell,
    "python": _python,
    "sql": _sql,
    "http": read_http,
    "file": read_file_action,
    "mcp": read_mcp,
}
