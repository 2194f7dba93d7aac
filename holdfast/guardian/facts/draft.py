"""Collects observations while an action is read, and freezes them into `Facts`."""

import re
from collections.abc import Iterable

from holdfast.guardian.facts.paths import is_sensitive, normal_path, within
from holdfast.guardian.knowledge import Knowledge
from holdfast.guardian.words import Certainty, Word
from schemas.facts import CommandFact, Effect, Facts, RedirectFact, Safety

DANGEROUS = frozenset(
    {
        Effect.DELETE,
        Effect.DESTROY,
        Effect.KILL,
        Effect.SECRET,
        Effect.PRIVILEGE,
        Effect.EGRESS,
        Effect.ATTACK,
    }
)
MUTATING = frozenset({Effect.WRITE, Effect.CONFIG, Effect.EXEC})
_NAMES = re.compile(r"\$\{?[#!]?(\w+)")
_LIST_LIMIT = 64
_DIRECTORY_LIMIT = 12
_VALUE_LIMIT = 4
_PATH_LIMIT = 1_000
_TEXT_LIMIT = 200


class Draft:
    """Only ever grows: nothing a reader learns later can take back an effect or an unknown."""

    def __init__(self, kind: str, knowledge: Knowledge, workspace: str) -> None:
        self.kind = kind
        self.knowledge = knowledge
        self.workspace = workspace
        self.effects: set[Effect] = set()
        self.commands: list[CommandFact] = []
        self.redirects: list[RedirectFact] = []
        self.pipes_to_shell = False
        self.privileged = False
        self.hints: tuple[str, ...] = ()
        self.tainted: tuple[str, ...] = ()
        self._directories: list[str] = []
        self._values: dict[str, list[str]] = {}
        self._reasons: dict[str, None] = {}
        self._unknowns: dict[str, None] = {}
        self._sets: dict[str, set[str]] = {}

    def unknown(self, reason: str) -> None:
        self._unknowns[_cut(reason)] = None

    def effect(self, effects: Iterable[Effect], reason: str) -> None:
        effects = set(effects)
        self.effects |= effects
        if effects - {Effect.READ, Effect.NETWORK}:
            self._reasons[_cut(f"{reason}: {', '.join(sorted(effects - {Effect.READ}))}")] = None

    def note(self, name: str, value: str) -> None:
        """Adds `value` to one of the list fields of `Facts`."""
        self._sets.setdefault(name, set()).add(_cut(value))

    def noted(self, name: str) -> set[str]:
        return self._sets.get(name, set())

    def command(self, binary: str, subcommand: str, flags: Iterable[str], args: Iterable[str]) -> None:
        if len(self.commands) < _LIST_LIMIT:
            fact = CommandFact(
                binary=_cut(binary),
                subcommand=_cut(subcommand),
                flags=tuple(_cut(flag) for flag in flags)[:_LIST_LIMIT],
                args=tuple(_cut(arg) for arg in args)[:_LIST_LIMIT],
            )
            self.commands.append(fact)
        self.note("binaries", binary)

    def enter(self, directory: str) -> None:
        """From here on relative paths may also mean what lies in `directory`."""
        if len(self._directories) < _DIRECTORY_LIMIT:
            self._directories += [f"{known}/{directory}" for known in self._directories[:2]]
            self._directories.append(directory)
        else:
            self.unknown("the script moves through too many directories")

    def look_at(self, word: Word, *, reads_content: bool = False) -> None:
        """Any word may name a path that must not be touched, whatever the command does with it."""
        for spelled in (word, *self._as_seen_from_directories(word), *self._as_once_set(word)):
            if is_sensitive(spelled, self.knowledge.paths, reads_content=reads_content):
                self.note("sensitive_paths", word.text)
        if not word.constant and any(
            map(self.knowledge.environment.secret.search, _NAMES.findall(word.text))
        ):
            self.effect({Effect.SECRET}, f"uses the secret {word.text}")

    def _as_seen_from_directories(self, word: Word) -> list[Word]:
        if not self._directories or word.text[:1] in {"", "/", "~", "-"}:
            return []
        return [Word(f"{known}/{word.text}", word.certainty) for known in self._directories]

    def remember(self, variable: str, value: str) -> None:
        """Somewhere the script sets `variable` so: it may hold that wherever it is used."""
        if len(value) <= _TEXT_LIMIT:
            self._values.setdefault(variable, []).append(value)

    def _as_once_set(self, word: Word) -> list[Word]:
        """`${a}dow` where some branch says `a=/etc/sha`."""
        texts = [word.text]
        if word.constant or not self._values or len(word.text) > _PATH_LIMIT:
            return []
        for name in list(dict.fromkeys(_NAMES.findall(word.text)))[:_VALUE_LIMIT]:
            values = self._values.get(name, [])[:_VALUE_LIMIT]
            use = re.compile(rf"\$(?:{name}\b|\{{{name}\}})")
            plain = [value.replace("\\", "\\\\") for value in values]
            texts = [use.sub(value, text) for text in texts for value in plain] or texts
            texts = texts[: _VALUE_LIMIT * _VALUE_LIMIT]
        return [Word(text, word.certainty if "$" in text else Certainty.LITERAL) for text in texts]

    def reads(self, path: str) -> None:
        self.note("paths_read", normal_path(path))

    def writes(self, path: str) -> None:
        path = normal_path(path)
        self.note("paths_written", path)
        if not within(path, self.workspace):
            self.note("outside_workspace", path)

    def redirect(self, operator: str, target: str) -> None:
        if len(self.redirects) < _LIST_LIMIT:
            self.redirects.append(RedirectFact(operator=operator, target=_cut(target)))

    def freeze(self) -> Facts:
        if self.noted("sensitive_paths"):
            self.effect({Effect.SECRET}, "touches a sensitive path")
        if self.pipes_to_shell:
            self.effect({Effect.EXEC}, "feeds text to an interpreter")
        return Facts(
            kind=self.kind,
            safety=self._safety(),
            reasons=_first(self._reasons),
            unknowns=_first(self._unknowns),
            effects=tuple(sorted(self.effects)),
            commands=tuple(self.commands),
            redirects=tuple(self.redirects),
            pipes_to_shell=self.pipes_to_shell,
            privileged=self.privileged,
            tainted=self.tainted,
            hints=self.hints,
            knowledge=self.knowledge.digest,
            **{name: _first(sorted(values)) for name, values in self._sets.items()},
        )

    def _safety(self) -> Safety:
        if self.effects & DANGEROUS or self.pipes_to_shell:
            return "dangerous"
        if self._unknowns:
            return "unknown"
        if self.effects & MUTATING:
            return "mutating"
        return "read_only" if self.effects else "unknown"


def _cut(text: str) -> str:
    """Short, and storable: neither lone surrogates nor NUL survive JSON and Postgres."""
    text = text[: _TEXT_LIMIT + 1].replace("\0", "\ufffd").encode(errors="replace").decode()
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 1] + "…"


def _first(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)[:_LIST_LIMIT]
