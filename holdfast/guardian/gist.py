"""What an action does, in one clause that reads well in a terminal: `deletes recursively outside the workspace: /var/log`."""

import re
from collections.abc import Iterable

from schemas.facts import Effect, Facts

_CLAUSES = 2
_NAMED = 3
_LONGEST = 90
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\u00a0-\u200a\u2010-\u2027\u2030-\u205e\u2070-\ud7ff\uf900-\ufffd]+")
_RECURSIVE = re.compile(r"^(-[a-zA-Z]*[rR][a-zA-Z]*|--recursive)$")

_VERBS = {
    Effect.DESTROY: "destroys what cannot be restored",
    Effect.ATTACK: "runs a tool made for attacks",
    Effect.SECRET: "touches secrets",
    Effect.EGRESS: "sends data out",
    Effect.DELETE: "deletes",
    Effect.KILL: "stops processes or services",
    Effect.PRIVILEGE: "takes higher rights",
    Effect.EXEC: "runs code nobody has read",
    Effect.CONFIG: "changes configuration",
    Effect.WRITE: "writes",
    Effect.NETWORK: "uses the network",
    Effect.READ: "only reads",
}


def gist_of(facts: Facts) -> str:
    """The gravest of what it does, and to what. Text of the action is cut and made printable."""
    clauses = [_clause(effect, facts) for effect in _VERBS if effect in facts.effects]
    if facts.unknowns:
        clauses.insert(min(len(clauses), 1), f"cannot be fully understood: {printable(facts.unknowns[0])}")
    if not clauses:
        return "has no effect anybody knows of"
    grave = [clause for clause in clauses if clause not in _MINOR] or clauses[-1:]
    return ", ".join(grave[:_CLAUSES])


def _clause(effect: Effect, facts: Facts) -> str:
    verb = _VERBS[effect]
    if effect is Effect.DELETE and _recursive(facts):
        verb += " recursively"
    if effect in (Effect.DELETE, Effect.WRITE, Effect.CONFIG) and facts.outside_workspace:
        return f"{verb} outside the workspace: {named(facts.outside_workspace)}"
    targets = _targets(effect, facts)
    return f"{verb}: {named(targets)}" if targets else verb


def _targets(effect: Effect, facts: Facts) -> tuple[str, ...]:
    if effect is Effect.READ:
        return ()
    if effect in (Effect.EGRESS, Effect.NETWORK):
        return facts.hosts or (_called(facts) if effect is Effect.EGRESS else ())
    paths = facts.sensitive_paths if effect is Effect.SECRET else facts.paths_written
    named_paths = effect in (Effect.SECRET, Effect.DELETE, Effect.WRITE)
    return paths if named_paths and paths else _called(facts)


def _called(facts: Facts) -> tuple[str, ...]:
    """A single command as a whole; of several, the programs."""
    if len(facts.commands) != 1:
        return facts.binaries
    command = facts.commands[0]
    words = (command.binary, command.subcommand, *command.flags, *command.args)
    return (" ".join(word for word in words if word),)


def target_of(facts: Facts) -> str:
    """What it acts on, as far as it says."""
    return named(facts.paths_written or facts.hosts or _called(facts))


def _recursive(facts: Facts) -> bool:
    return any(_RECURSIVE.match(flag) for command in facts.commands for flag in command.flags)


_MINOR = frozenset({_VERBS[Effect.READ], _VERBS[Effect.NETWORK]})


def named(values: Iterable[object]) -> str:
    """The first few, and how many more there are."""
    texts = [printable(str(value)) for value in values]
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more


def printable(text: str) -> str:
    """One line, without anything a terminal would obey."""
    text = _UNPRINTABLE.sub("·", text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
