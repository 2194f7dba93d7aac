"""Reads one argument vector against what is known about its command.

An option that is not described makes a `strict` entry unknown. Abbreviated long options count as the effectful option
they could mean, because getopt accepts them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.guardian.knowledge.model import NOTHING, Effects, Tool
from holdfast.guardian.words import Certainty, Word
from schemas.facts import Effect

_READ: Effects = frozenset({Effect.READ})
_HARMLESS: Effects = frozenset({Effect.READ, Effect.NETWORK, Effect.WRITE})
_TALK = frozenset(
    {"-v", "-q", "-h", "-n", "-0", "-j", "--verbose", "--quiet", "--json", "--noheadings", "--no-pager"}
)
_HELP = frozenset({"--help", "--version"})
_STAGES = frozenset({"alpha", "beta", "preview"})
_FILE = re.compile(r"/|\.\w{1,8}\Z")
_SPEAKS_OF_CHANGE = re.compile(
    r"""--?(?!no-|dry-|list-|show-|print-|get-|disable-pager|(?:\w+-)*(?:start|stop|created?|updated?|added|deleted|pushed)-
        (?:time|date|timestamp|line|index|offset|position|after|before|since|until)\b)(?:\w+-)*
    (exec\w*|command|cmd|run|shell|script|eval|hook|plugins?|load|preload|require|addon|bootstrap|import|export|
    delete|remove|rm|destroy|kill|purge|wipe|clear|clean|reset|erase|drop|truncate|prune|vacuum|
    write|overwrite|save|store|output-(?:file|dir|path)|(?:out|log|pid|logger|status)-?file|outdir|
    upload|post|put|push|send|publish|install|uninstall|update|upgrade|fix|apply|patch|edit|editor|pager|browser|
    in-?place|generate|regenerate|gen|alter|extract|unpack|mail-?to|daemon\w*|listen|create|init|add|enable|start|stop|restart|set|configure|register|
    password|passwd|secrets?|tokens?|rsh)(?:-\w+)*$""",
    re.VERBOSE,
)


@dataclass(slots=True)
class Match:
    """What one invocation would do. `unknowns` non-empty means: ask."""

    tool: Tool
    subcommand: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)
    args: list[Word] = field(default_factory=list)
    effects: set[Effect] = field(default_factory=set)
    unknowns: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)  # options that no entry describes
    look: bool = False


def match_command(tool: Tool, words: Sequence[Word]) -> Match:
    """Effects of `tool` called with `words`. Never raises; what is not described ends in `unknowns`."""
    match = Match(tool)
    if _asks_for_help(tool, words):
        match.flags, match.effects, match.look = [words[-1].text], set(_READ), True
        return match
    _Reader(match, list(words)).read()
    _judge(match)
    return match


def match_option(tool: Tool, words: Sequence[Word]) -> tuple[Match, int]:
    """Reads only the option at the start of `words`; answers also how many words it took."""
    match = Match(tool)
    return match, _Reader(match, list(words)).read_option()


def _asks_for_help(tool: Tool, words: Sequence[Word]) -> bool:
    if not words or words[-1].text not in _HELP or tool.special in {"shell", "wrapper"}:
        return False
    topics = words[:-1]
    if not topics:
        return True
    named = tool.has_sub and len(topics) < 5 and all(_is_topic(word) for word in topics)
    return named and not _hands_on(tool, topics)


def _hands_on(tool: Tool, topics: Sequence[Word]) -> bool:
    """`docker run image --help` gives the option to what runs: only the last word may name something that executes."""
    for word in topics[:-1]:
        child = tool.find(word.text)
        if child is None:
            return False
        if Effect.EXEC in (child.effects or ()):
            return True
        tool = child
    return False


def _is_topic(word: Word) -> bool:
    return (
        word.certainty is Certainty.LITERAL and word.text.replace("-", "").isalnum() and word.text[0] != "-"
    )


class _Reader:
    """Walks the vector once, descending into sub-commands."""

    def __init__(self, match: Match, words: list[Word]) -> None:
        self._match = match
        self._words = words
        self._at = 0
        self._only_args = False

    def read(self) -> None:
        while self._at < len(self._words):
            word = self._words[self._at]
            self._at += 1
            if word.text == "--" and not self._only_args:
                self._only_args = True
            elif self._is_option(word):
                self._option(word)
            else:
                self._positional(word)

    def read_option(self) -> int:
        self._at = 1
        self._option(self._words[0])
        return self._at

    def _is_option(self, word: Word) -> bool:
        text = word.text
        return not self._only_args and len(text) > 1 and (text[0] == "-" or self._is_plus(text))

    def _is_plus(self, text: str) -> bool:
        return text[0] == "+" and text in self._match.tool.flags

    def _positional(self, word: Word) -> None:
        tool = self._match.tool
        if not tool.has_sub or self._match.args:
            self._match.args.append(word)
            return
        child = tool.find(word.text) if word.constant else None
        if child is not None and tool.deep and child.has_sub and not self._at_group():
            child = None
        if child is not None:
            self._match.look = self._given_before(child)
            self._match.tool = child
            self._match.subcommand.append(word.text)
        elif tool.deep and word.constant and len(self._match.subcommand) < 6:
            self._match.subcommand.append(word.text)
        else:
            self._match.unknowns.append(f"{tool.name}: sub-command {word.text!r} is not known")
            self._match.args.append(word)

    def _given_before(self, child: Tool) -> bool:
        """A mode of the parent says nothing about its sub-command, `apt-get -s upgrade` names one of the sub-command's."""
        own = self._match.tool
        described = own.flags.keys() | own.value | own.modes | own.alone
        return any(name in child.modes and name not in described for name in self._match.flags)

    def _at_group(self) -> bool:
        """Groups with rules of their own are first words: `az account`, but not `az cognitiveservices account`."""
        return all(word in _STAGES for word in self._match.subcommand)

    def _option(self, word: Word) -> None:
        text = word.text
        if not word.constant and word.certainty is Certainty.CRAFTED and "=" not in text:
            self._match.unknowns.append(f"{self._match.tool.name}: option is computed")
        if text.startswith("--") or self._match.tool.single or text[0] == "+":
            self._long(text)
        else:
            self._cluster(text)

    def _long(self, text: str) -> None:
        tool = self._match.tool
        name, equals, value = text.partition("=")
        if equals and f"{name}=" in tool.flags:
            name = f"{name}="
        elif tool.equals and name not in tool.value and (equals or "<" in text):
            self._match.effects |= tool.equals
        takes = name in tool.value
        if takes and not equals:
            value = self._next()
        self._note(name, value, known=takes)

    def _cluster(self, text: str) -> None:
        tool = self._match.tool
        if text[1:].isdigit() and text not in tool.flags:
            self._match.flags.append(text)
            return
        if text in tool.value and text not in tool.flags:
            self._note(text, self._next(), known=True)
            return
        if text in tool.flags or text in tool.modes or text in tool.alone:
            self._note(text, "", known=True)
            return
        for index, letter in enumerate(text[1:], start=2):
            name = f"-{letter}"
            if name in tool.value:
                self._note(name, text[index:].removeprefix("=") or self._next(), known=True)
                return
            self._note(name, "", known=False)
            if text[index:].isdigit() and name in tool.flags and f"-{text[index]}" not in tool.flags:
                return  # `-n3`: the value of an option whose value may be left out

    def _next(self) -> str:
        if self._at >= len(self._words):
            return ""
        self._at += 1
        return self._words[self._at - 1].text

    def _note(self, name: str, value: str, *, known: bool) -> None:
        match, tool = self._match, self._match.tool
        match.flags.append(name)
        match.options.append((name, value))
        if name in tool.modes or name in tool.alone:
            match.look |= self._only_looks(name)
        effects = tool.flags.get(name)
        if effects is None and name not in tool.modes and name not in tool.value:
            effects = self._undescribed(name, known=known)
        match.effects |= effects or NOTHING
        allowed = tool.values.get(name)
        if allowed is not None and value not in allowed:
            match.effects |= {Effect.WRITE}

    def _only_looks(self, name: str) -> bool:
        """What follows an argument of a runner belongs to what it runs: `ssh host rm x -G`."""
        tool = self._match.tool
        if name in tool.alone:
            return all(word.text in tool.alone or word.text in _TALK for word in self._words)
        return not (tool.runs and self._match.args)

    def _undescribed(self, name: str, *, known: bool) -> Effects | None:
        """An option no entry names: perhaps short for one, perhaps one whose very name speaks of change."""
        match, tool = self._match, self._match.tool
        effects = _abbreviated(tool, name)
        if effects is not None or known or name in tool.alone:
            return effects
        match.strange.append(name)
        if tool.strict or _SPEAKS_OF_CHANGE.match(name):
            match.unknowns.append(f"{tool.name}: option {name} is not known")
        elif name == "-o" and self._at < len(self._words) and _FILE.search(self._words[self._at].text):
            match.unknowns.append(f"{tool.name}: -o may write {self._words[self._at].text}")
        elif tool.special and any(long.startswith(name) for long in tool.value if name[:2] == "--"):
            match.unknowns.append(f"{tool.name}: option {name} is short for something")
        return None


def _abbreviated(tool: Tool, name: str) -> Effects | None:
    if not name.startswith("--") or len(name) < 4 or tool.single:
        return None
    meant: set[Effect] = set()
    for flag, effects in tool.flags.items():
        if effects and flag.startswith(name):
            meant |= effects
    return frozenset(meant) or None


def _judge(match: Match) -> None:
    tool = match.tool
    base = tool.effects
    if tool.has_sub and not match.unknowns:
        base = tool.bare if tool.bare is not None else tool.effects
    if match.look:
        strange = [] if base is None or base <= _HARMLESS else set(match.strange) - _TALK
        match.unknowns += [
            f"{tool.name}: option {name} may undo that it only looks" for name in sorted(strange)
        ]
        base = tool.looks
    if base is None and not match.unknowns and not (match.effects and tool.effects is not None):
        match.unknowns.append(f"{_title(match)}: what it does is not known")
    match.effects |= base or NOTHING
    _judge_arguments(match)


def _judge_arguments(match: Match) -> None:
    tool, args = match.tool, match.args
    beyond = tool.most is not None and len(args) > tool.most and not (match.look and tool.most == 0)
    if tool.match is not None and not match.look:
        beyond = beyond or any(not (arg.constant and tool.match.fullmatch(arg.text)) for arg in args)
    if beyond and tool.otherwise:
        match.effects |= tool.otherwise
    elif beyond:
        match.unknowns.append(f"{_title(match)}: these arguments are not understood")
    for pattern, effects in tool.args:
        if any(pattern.search(arg.text) for arg in args):
            match.effects |= effects
    texts = [*(arg.text for arg in args), *(value for _, value in match.options)] if tool.texts else []
    for pattern, effects in tool.texts:
        if any(pattern.search(text) for text in texts):
            match.effects |= effects


def _title(match: Match) -> str:
    return (
        " ".join([match.tool.name, *match.subcommand[-1:]])
        if not match.subcommand
        else " ".join(match.subcommand)
    )
