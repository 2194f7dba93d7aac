"""The shape of what we know about one command: immutable, compiled once, looked up by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.facts import Effect

Effects = frozenset[Effect]
NOTHING: Effects = frozenset()
_HANDING: Effects = frozenset({Effect.EXEC, Effect.EGRESS, Effect.ATTACK})


@dataclass(frozen=True, slots=True)
class Tool:
    """A binary, or one sub-command of it. Sub-commands have the same shape."""

    name: str
    effects: Effects | None = None  # None: what it does by default is not known
    flags: Mapping[str, Effects] = field(default_factory=dict)
    modes: frozenset[str] = frozenset()  # a flag that turns the invocation into a look
    alone: frozenset[str] = frozenset()  # does so only as the single word
    looks: Effects = frozenset({Effect.READ})  # what such a look does
    value: frozenset[str] = frozenset()
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sql: frozenset[str] = frozenset()
    equals: Effects = NOTHING  # what `-name=value` does, for tools that assign by option
    strict: bool = False
    single: bool = False  # `-name` is one option, not a cluster of letters
    most: int | None = None
    match: re.Pattern[str] | None = None
    otherwise: Effects = NOTHING
    args: tuple[tuple[re.Pattern[str], Effects], ...] = ()
    sub: Mapping[str, "Tool"] = field(default_factory=dict)
    globs: tuple[tuple[re.Pattern[str], "Tool"], ...] = ()
    fallback: "Tool | None" = None
    texts: tuple[tuple[re.Pattern[str], Effects], ...] = ()  # as `args`, in values of options too
    bare: Effects | None = None
    deep: bool = False
    special: str = ""
    late: bool = False  # its modes count wherever they stand, although it runs or sends what it is given

    @property
    def runs(self) -> bool:
        """Whether arguments may be handed to something else, options and all."""
        return not self.late and (self.special == "perl" or bool((self.effects or NOTHING) & _HANDING))

    @property
    def has_sub(self) -> bool:
        """Whether its first positional word names a sub-command."""
        return bool(self.sub or self.globs or self.fallback)

    def find(self, word: str) -> "Tool | None":
        """The sub-command of that name: exact names win over patterns, patterns over the fallback."""
        exact = self.sub.get(word)
        if exact is not None:
            return exact
        for pattern, tool in self.globs:
            if pattern.fullmatch(word):
                return tool
        return self.fallback

    @property
    def runs_by_flag(self) -> bool:
        """Whether one injected flag could execute or delete: then arguments must not be guesses."""
        risky = {Effect.EXEC, Effect.DELETE, Effect.DESTROY}
        return any(effects & risky for effects in self.flags.values())
