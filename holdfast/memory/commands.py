"""What two calls that carry a command have in common: the programs they run, what they do, and what one leaves out.

The reader of commands is the guardian's; a command that it cannot read is like no other but itself.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from holdfast.guardian.facts import ActionView, extract_facts
from schemas.base import JsonObject
from schemas.facts import CommandFact, Effect, Facts

ARGUMENTS = ("command", "script", "cmd")
_LONGEST = 20_000
_ASIDE = frozenset({"cd", "echo", "exit", "export", "set", "true", ":", "sleep"})
_LIKE = 0.5
"""The share of the words of a quoted argument, or of the flags, from which another one says much the same."""
_EDITED = 0.75
"""The share of all words of two commands from which the one is the other with a word changed."""
_CONVERTS = 2
"""A command that names files of so many kinds makes the one of the other."""
_NAMED = 200
"""The longest name of a program that is told from others."""
_REMOTE = frozenset({"ssh"})
"""What runs its arguments on another host: a command there is a command like any."""


@dataclass(frozen=True)
class Form:
    """How a command is made: its programs with their sub-commands, its flags, its words, and what it changes."""

    programs: frozenset[str]
    flags: frozenset[str]
    settings: frozenset[str]
    """The variables it is run with."""
    words: frozenset[str]
    inner: frozenset[str]
    """The words of arguments of several words, such as a statement of SQL."""
    changes: frozenset[Effect]
    kinds: frozenset[str]
    """The kinds of the files it names, by the ends of their names."""


def command_of(arguments: Mapping[str, object]) -> str:
    """The command a call carries, or nothing."""
    found = (arguments.get(name) for name in ARGUMENTS)
    return next((text for text in found if isinstance(text, str) and text.strip()), "")


def programs_of(arguments: JsonObject) -> tuple[str, ...]:
    """The programs that a call runs, each with its sub-command: `kubectl drain`. A call that makes any request is known by
    its method and host, likewise: `PUT stock.example`.
    """
    text = command_of(arguments)
    return tuple(sorted(form_of(text).programs)) if text else _request_of(arguments)


def _request_of(arguments: JsonObject) -> tuple[str, ...]:
    method, url = arguments.get("method"), arguments.get("url")
    if not (isinstance(method, str) and isinstance(url, str) and "://" in url):
        return ()
    return (f"{method.upper()} {url.split('://', 1)[1].split('/', 1)[0].split('?', 1)[0]}"[:_NAMED],)


def programs_taught(data: JsonObject) -> tuple[str, ...]:
    """The programs a lesson is about, where its data say so as ours do."""
    programs = data.get("programs")
    return (
        tuple(each[:_NAMED] for each in programs if isinstance(each, str))
        if isinstance(programs, list)
        else ()
    )


@lru_cache(maxsize=512)
def form_of(text: str) -> Form:
    text = text[:_LONGEST]
    facts = _facts_of(text)
    run = _worth_naming(facts)
    quoted = re.findall(r"'([^']*)'|\"([^\"]*)\"", text)
    inner = [word for pair in quoted for part in pair if " " in part for word in _words(part)]
    return Form(
        programs=frozenset(name for command in run for name in _programs(command)),
        flags=frozenset(flag for command in run for flag in _flags(command)),
        settings=frozenset(facts.env_set),
        words=frozenset(_words(text)),
        inner=frozenset(inner),
        changes=frozenset(facts.effects) - {Effect.READ},
        kinds=frozenset(re.findall(r"\w\.([A-Za-z]\w{1,4})(?=\s|$)", text)),
    )


def _facts_of(text: str) -> Facts:
    return extract_facts(ActionView(tool="shell", kind="shell", arguments={"command": text}))


def _worth_naming(facts: Facts) -> list[CommandFact]:
    return [command for command in facts.commands if command.binary not in _ASIDE] or list(facts.commands)


def _flags(command: CommandFact) -> Iterator[str]:
    """Those of a program that nobody described stand among its arguments, however many letters and strokes they have."""
    yield from command.flags
    for word in command.args:
        if named := re.match(r"--?[A-Za-z][\w-]*", word):
            yield named[0]


def _programs(command: CommandFact) -> Iterator[str]:
    yield _named(command)
    if command.binary in _REMOTE:
        # Values of options stand among the arguments; the host is the first that cannot be one.
        host = next((at for at, word in enumerate(command.args) if not re.search(r"[=/]|^\d+$", word)), None)
        if host is not None:
            yield from map(_named, _worth_naming(_facts_of(" ".join(command.args[host + 1 :]))))


def _named(command: CommandFact) -> str:
    """What is named like a file is what a program is given, not what it is to do."""
    if re.search(r"[./]", command.subcommand):
        return command.binary[:_NAMED]
    return f"{command.binary} {command.subcommand}".strip()[:_NAMED]


def _words(text: str) -> list[str]:
    """An address of the web is the words between its strokes."""
    apart = re.sub(r"\w+://(\S+)", lambda found: re.sub(r"[/?#]", " ", found[1]), text)
    return re.findall(r"[^\s'\"();|&,=]+", apart)


def like(call: Form, other: Form) -> bool:
    """Whether a call runs what the other runs, to do what it does."""
    if not other.programs or not other.programs <= call.programs or not other.changes <= call.changes:
        return False
    return not other.inner or len(call.inner & other.inner) >= _LIKE * len(other.inner)


def mends(failed: str, later: str) -> bool:
    """Whether a later command can be the better way of one that failed, and not merely the next thing done."""
    before, after = form_of(failed), form_of(later)
    return like(after, before) or _edited(before, after)


def _edited(before: Form, after: Form) -> bool:
    """Whether a command is another with a word changed, or with words added, and does the same."""
    if before.changes != after.changes or not before.words:
        return False
    shared = before.words & after.words
    return before.words <= after.words or len(shared) >= _EDITED * len(before.words | after.words)


def disregards_command(call: str, failed: str, worked: str | None) -> bool:
    """Whether a command is made as one was that failed, without what made it work."""
    if call == failed:
        return True
    now, before = form_of(call), form_of(failed)
    after = before if worked is None else form_of(worked)
    if not (like(now, before) and _flagged_alike(now, before, after) and _of_kinds_alike(now, before)):
        return False
    if worked is None:
        return before.flags <= now.flags and bool(_operands(before) & _operands(now))
    return _leaves_out(now, before, after)


def _flagged_alike(now: Form, before: Form, after: Form) -> bool:
    """A program without sub-commands is told what to do by its flags: most of them are there, and no more of its own."""
    if any(" " in program for program in before.programs):
        return True
    shared = len(now.flags & before.flags)
    own = len(now.flags - before.flags - after.flags)
    return shared >= _LIKE * len(before.flags) and own <= max(1, shared)


def _of_kinds_alike(now: Form, before: Form) -> bool:
    """What makes one kind of file of another does another thing with other kinds."""
    return len(before.kinds) < _CONVERTS or before.kinds <= now.kinds


def _leaves_out(now: Form, before: Form, after: Form) -> bool:
    """Whether what made the call work is missing: flags, programs and variables, or else words."""
    added = [
        (after.flags - before.flags, now.flags),
        (after.programs - before.programs, now.programs),
        (after.settings - before.settings, now.settings),
    ]
    if any(more for more, _ in added):
        return not all(more <= present for more, present in added)
    if inserted := after.inner - before.inner if before.inner <= after.inner else frozenset():
        return not inserted <= now.inner
    if dropped := before.words - after.words:
        return bool(dropped & now.words)
    return _of_much_the_same(now, before) and not after.words <= before.words | now.words


def _of_much_the_same(now: Form, before: Form) -> bool:
    """Whether what it is done with is; one of its operands is what it is done to, and that is another each time."""
    operands = _operands(before)
    return len(operands & now.words) >= _LIKE * (len(operands) - 1)


def _operands(form: Form) -> frozenset[str]:
    named = {word for program in form.programs for word in program.split()}
    return frozenset(word for word in form.words - named if not word.startswith("-"))
