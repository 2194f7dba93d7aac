"""Judges one simple command: finds its entry in the knowledge base, follows wrappers, records what it would do."""

# ruff: noqa: SIM905 - word lists read better as text

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.hosts import host_of
from holdfast.guardian.facts.paths import is_path
from holdfast.guardian.facts.shell.scope import Scope
from holdfast.guardian.knowledge import Match, Tool, match_command
from holdfast.guardian.words import Certainty, Word
from schemas.facts import Effect

STANDARD_DIRECTORIES = frozenset(
    "/bin /sbin /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin /snap/bin /opt/homebrew/bin".split()
)
WRAPPER_LIMIT = 8
_MOVERS = frozenset({"git", "tar", "gtar", "bsdtar", "make", "find"})
_QUIET = frozenset("echo printf true sleep : yes".split())
_NAME = re.compile(r"[A-Za-z0-9_.+:@\[\]!-]+\Z")


@dataclass(slots=True)
class Reads:
    """Which commands ran, so that a substitution knows what kind of text it yields."""

    binaries: set[str] = field(default_factory=set)
    unknown: bool = False

    def __or__(self, other: "Reads") -> "Reads":
        return Reads(self.binaries | other.binaries, self.unknown or other.unknown)


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation on its way to a special reader."""

    name: str
    tool: Tool
    words: Sequence[Word]
    fed: bool  # its standard input carries text from this script
    tail: bool  # unknown words will be appended (xargs)
    marker: str  # a word that will be replaced by unknown text (`{}`)


class Invoker:
    """One per script; wrappers call it again with the command they wrap."""

    def __init__(self, draft: Draft, scope: Scope, depth: int, read_script: Callable[..., Reads]) -> None:
        self.draft = draft
        self.scope = scope
        self.piped = False
        self.read_by = False  # another command of the pipeline reads what this one prints
        self.reads = Reads()
        self.upstream: set[str] = set()  # commands earlier in the pipeline
        self.prints_paths = (
            False  # it prints whole paths, NUL between them, none of which can look like an option
        )
        self.fed_paths = False  # what it reads was printed that way
        self._depth = depth
        self._wrapped = 0
        self._read_script = read_script

    def invoke(
        self, words: Sequence[Word], *, fed: bool = False, tail: bool = False, marker: str = ""
    ) -> None:
        self._wrapped += 1
        if self._wrapped > WRAPPER_LIMIT:
            self.unknown("commands are wrapped too deeply")
        else:
            self._find(words, fed=fed, tail=tail, marker=marker)
        self._wrapped -= 1

    def unknown(self, reason: str) -> None:
        self.reads.unknown = True
        self.draft.unknown(reason)

    def script(self, text: str) -> None:
        """Text that a shell will run: the same reader, one level deeper."""
        self.reads |= self._read_script(text, self.draft, depth=self._depth + 1)

    def assign(self, name: str, value: Word, *, exported: bool) -> None:
        if value.constant and value.text:
            self.draft.remember(name, value.text)
        if self.draft.knowledge.environment.commanding.search(name):
            self.draft.note("env_set", name)
            self.unknown(f"setting {name} changes what other programs do")
        elif exported:
            self.draft.note("env_set", name)
        else:
            self.draft.effect({Effect.READ}, "assignment")
        if runs_when_evaluated(value.text) and value.constant:
            self.unknown(f"{name} holds text that arithmetic would run")
        self._look_at([value], name="")

    def declare_option(self, keyword: str, option: str) -> None:
        if keyword in {"declare", "typeset"} and not set(option[1:]) <= set("aAirxpfFl u"):
            self.unknown(f"{keyword} {option} is not understood")
        if keyword == "export" and option not in {"-p", "-n"}:
            self.unknown(f"export {option} is not understood")

    def _find(self, words: Sequence[Word], *, fed: bool, tail: bool, marker: str) -> None:
        self.prints_paths = False
        name = self._command_name(words[0], marker)
        if name is None:
            self._look_at(words, name="")
            return
        self.reads.binaries.add(name)
        if self._wrapped == 1 and self.scope.is_function(name):
            self._call_function(name, words)
            return
        tool = self.draft.knowledge.tools.get(name)
        if tool is None:
            self.draft.command(name, "", (), [word.text for word in words[1:]])
            self._look_at(words[1:], name=name)
            self.unknown(f"{name}: the command is not known")
            return
        call = Call(name, tool, words[1:], fed, tail, marker)
        reader = SPECIAL.get(tool.special)
        if reader is not None:
            reader(self, call)
        else:
            self.judge(call)

    def _command_name(self, word: Word, marker: str) -> str | None:
        text = word.text
        if word.certainty is not Certainty.LITERAL or (marker and marker in text):
            self.unknown(f"command name {text} is computed")
            return None
        directory, slash, name = text.rpartition("/")
        if slash and directory not in STANDARD_DIRECTORIES:
            self.unknown(f"{text}: runs a file that is not a system command")
            self.draft.effect({Effect.EXEC}, text)
            return None
        if not _NAME.match(name):
            self.unknown(f"command name {text!r} is not understood")
            return None
        return name

    def _call_function(self, name: str, words: Sequence[Word]) -> None:
        if self.scope.recurses(name):
            self.draft.effect({Effect.DESTROY}, f"{name} calls itself without end")
        self._look_at(words[1:], name=name)
        self.draft.effect({Effect.READ}, name)

    def judge(self, call: Call) -> Match:
        """The ordinary way: options and arguments against the knowledge base."""
        match = match_command(call.tool, call.words)
        title = " ".join([call.name, *match.subcommand])
        self.record(call, match)
        for reason in match.unknowns:
            self.unknown(reason)
        self.draft.effect(match.effects, title)
        self._distrust_guesses(call, match, title)
        return match

    def record(self, call: Call, match: Match) -> None:
        args = [word.text for word in match.args]
        self.draft.command(call.name, " ".join(match.subcommand), dict.fromkeys(match.flags), args)
        self._enter_directories(call, match)
        self._look_at(_as_globs(call), name=call.name)
        writes = bool(match.effects & {Effect.WRITE, Effect.DELETE, Effect.DESTROY})
        for text in args:
            if is_path(text):
                (self.draft.writes if writes else self.draft.reads)(text)
        for text in [*args, *(value for _, value in match.options)]:
            host = host_of(text)
            if host:
                self.draft.note("hosts", host)

    def _enter_directories(self, call: Call, match: Match) -> None:
        """`git -C /etc …`: what it names lies there."""
        if call.name in _MOVERS:
            for name, value in match.options:
                if name in {"-C", "--directory", "--chdir"} and value:
                    self.draft.enter(value)

    def _distrust_guesses(self, call: Call, match: Match, title: str) -> None:
        if Effect.NETWORK in match.effects and self._carries_text(call):
            self.draft.effect({Effect.EGRESS}, f"{title} sends computed text")
        if call.name in self.draft.knowledge.paths.content_readers and any(
            word.certainty is Certainty.CRAFTED for word in match.args
        ):
            self.unknown(f"{title}: the path is computed")
        if not match.tool.runs_by_flag:
            return
        appended = call.tail and not (call.words and call.words[-1].text == "--")
        if appended or any(word.certainty is Certainty.CRAFTED and word.may_split for word in call.words):
            self.unknown(f"{title}: computed words could be options that run or delete")

    def _carries_text(self, call: Call) -> bool:
        """A name that is looked up, or what is written to a connection, can carry a file out."""
        fed = call.fed and not (self.upstream and self.upstream <= _QUIET)
        computed = any(word.certainty >= Certainty.OUTPUT for word in call.words)
        return fed or call.tail or bool(call.marker) or computed

    def _look_at(self, words: Sequence[Word], *, name: str) -> None:
        reads_content = name in self.draft.knowledge.paths.content_readers
        for word in words:
            self.draft.look_at(word, reads_content=reads_content)


def _as_globs(call: Call) -> Sequence[Word]:
    """`cat /etc/{}` below xargs: what is put there could be any name."""
    if not call.marker:
        return call.words
    return [
        Word(word.text.replace(call.marker, "*"), Certainty.GLOB)
        if call.marker in word.text and word.constant
        else word
        for word in call.words
    ]


def runs_when_evaluated(text: str) -> bool:
    """Whether literal text holds a substitution, which arithmetic and subscripts evaluate a second time."""
    return "$(" in text or "`" in text


SpecialReader = Callable[[Invoker, Call], object]
SPECIAL: dict[str, SpecialReader] = {}


def special(name: str) -> Callable[[SpecialReader], SpecialReader]:
    """Registers the reader of commands whose arguments are a language or another command."""

    def register(reader: SpecialReader) -> SpecialReader:
        SPECIAL[name] = reader
        return reader

    return register
