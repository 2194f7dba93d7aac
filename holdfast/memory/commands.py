"""What two calls that carry a command have in common: the programs they run, what they do, and what one leaves out.

The reader of commands is the guardian's; a command that it cannot read is like no other but itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from holdfast.guardian.facts import ActionView, extract_facts
from schemas.base import JsonObject
from schemas.facts import Effect

ARGUMENTS = ("command", "script", "cmd")
_LONGEST = 20_000
_ASIDE = frozenset({"cd", "echo", "export", "set", "true", ":", "sleep"})
_LIKE = 0.5
"""The share of the words of a quoted argument from which another one says much the same."""


@dataclass(frozen=True)
class Form:
    """How a command is made: its programs with their sub-commands, its flags, its words, and what it changes."""

    programs: frozenset[str]
    flags: frozenset[str]
    words: frozenset[str]
    inner: frozenset[str]
    """The words of arguments of several words, such as a statement of SQL."""
    changes: frozenset[Effect]


def command_of(arguments: Mapping[str, object]) -> str:
    """The command a call carries, or nothing."""
    found = (arguments.get(name) for name in ARGUMENTS)
    return next((text for text in found if isinstance(text, str) and text.strip()), "")


def programs_of(arguments: JsonObject) -> tuple[str, ...]:
    """The programs that a call runs, each with its sub-command: `kubectl drain`."""
    text = command_of(arguments)
    return tuple(sorted(form_of(text).programs)) if text else ()


def programs_taught(data: JsonObject) -> tuple[str, ...]:
    """The programs a lesson is about, where its data say so as ours do."""
    programs = data.get("programs")
    return tuple(each for each in programs if isinstance(each, str)) if isinstance(programs, list) else ()


@lru_cache(maxsize=512)
def form_of(text: str) -> Form:
    text = text[:_LONGEST]
    facts = extract_facts(ActionView(tool="shell", kind="shell", arguments={"command": text}))
    run = [command for command in facts.commands if command.binary not in _ASIDE] or list(facts.commands)
    quoted = re.findall(r"'([^']*)'|\"([^\"]*)\"", text)
    inner = [word for pair in quoted for part in pair if " " in part for word in _words(part)]
    return Form(
        programs=frozenset(f"{command.binary} {command.subcommand}".strip() for command in run),
        flags=frozenset(flag for command in run for flag in command.flags),
        words=frozenset(_words(text)),
        inner=frozenset(inner),
        changes=frozenset(facts.effects) - {Effect.READ},
    )


def _words(text: str) -> list[str]:
    return re.findall(r"[^\s'\"();|&,=]+", text)


def like(call: Form, other: Form) -> bool:
    """Whether a call runs what the other runs, to do what it does."""
    if not other.programs or not other.programs <= call.programs or not other.changes <= call.changes:
        return False
    return not other.inner or len(call.inner & other.inner) >= _LIKE * len(other.inner)


def mends(failed: str, later: str) -> bool:
    """Whether a later command can be the better way of one that failed, and not merely the next thing done."""
    return like(form_of(later), form_of(failed))


def disregards_command(call: str, failed: str, worked: str | None) -> bool:
    """Whether a command is made as one was that failed, without what made it work."""
    if call == failed:
        return True
    now, before = form_of(call), form_of(failed)
    if not like(now, before):
        return False
    if worked is None:
        return before.flags <= now.flags and bool(_operands(before) & _operands(now))
    after = form_of(worked)
    added = (after.flags - before.flags, after.programs - before.programs)
    if any(added):
        return not (added[0] <= now.flags and added[1] <= now.programs)
    if inserted := after.inner - before.inner if before.inner <= after.inner else frozenset():
        return not inserted <= now.inner
    return bool((before.words - after.words) & now.words)


def _operands(form: Form) -> frozenset[str]:
    named = {word for program in form.programs for word in program.split()}
    return frozenset(word for word in form.words - named if not word.startswith("-"))
