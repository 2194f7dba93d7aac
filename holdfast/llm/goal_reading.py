"""Reads a goal as words and parameters, so that two goals can be compared by what they say, not by how they sound.

Parameters are what a plan would carry in its arguments: numbers, hosts, addresses, paths, names. Everything else is a
word, and every word counts, save a short list that changes nothing and a short list of synonyms.
"""

import re
from collections.abc import Collection, Sequence
from enum import StrEnum
from itertools import pairwise

from holdfast.llm.goal_wording import reworded
from schemas.base import Payload


class Kind(StrEnum):
    QUOTED = "quoted"
    URL = "url"
    EMAIL = "email"
    ADDRESS = "address"
    PATH = "path"
    DATE = "date"
    VERSION = "version"
    HOST = "host"
    NAME = "name"
    NUMBER = "number"


class Parameter(Payload):
    kind: Kind
    value: str

    @property
    def stem(self) -> str:
        """What stays when its digits change: `web-1` and `web-27` have one stem, `web-1` and `db-1` two."""
        return re.sub(r"\d+", "#", self.value)


class Reading(Payload):
    """`words` has a hole, as `<host>`, where a parameter stood."""

    words: tuple[str, ...]
    parameters: tuple[Parameter, ...]


_UNIT = r"(?:%|(?:ms|min|[kKMGT]i?[bB]|am|pm|[smhdwkMGT])\b)"
_PATTERNS: tuple[tuple[Kind, str], ...] = (
    (Kind.QUOTED, r"\"[^\"]*\"|(?<!\w)'[^']*'|`[^`]*`|“[^”]*”"),
    (Kind.URL, r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s,;\"'<>]+"),
    (Kind.EMAIL, r"[\w.+-]+@[\w-]+\.[\w.-]+\w"),
    (Kind.ADDRESS, r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?::\d+)?(?![\w.]*\d)"),
    (Kind.PATH, r"(?<![\w])(?:~|\.{1,2})?/[\w.*?{}@+/-]*[\w*?}/]|[A-Z]:\\[^\s,;]+"),
    (
        Kind.DATE,
        r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?)?|\d{1,2}:\d{2}(?::\d{2})?",
    ),
    (Kind.VERSION, r"\bv\d+(?:\.\d+)*\b|(?<![\w.])\d+(?:\.\d+){2,}(?:-[\w.]+)?"),
    (
        Kind.HOST,
        r"\b[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*\.[a-zA-Z]{2,}\b(?::\d+)?|\b[a-zA-Z]+[-_]?\d+\w*(?:[-_.]\w+)*\b",
    ),
    (Kind.NAME, r"\b\w+(?:[-_:]\w+)+\b"),
    (Kind.NUMBER, rf"(?:(?<=\s)|^)-?\d+(?:[.,]\d+)*(?:\s?{_UNIT})?|\d+(?:[.,]\d+)*(?:\s?{_UNIT})?"),
)
_TOKEN = re.compile(
    "|".join(f"(?P<{kind.value}>{pattern})" for kind, pattern in _PATTERNS)
    + r"|(?P<word>(?<=\w)['’]s\b|-{1,2}\w[\w-]*|[^\W\d_]+(?:['’][^\W\d_]+)?|\d+)"
    + r"|(?P<stop>(?<=[^\s.])\.(?=\s)|[,;:!?](?=\s|$))|(?P<sign>[^\s\w]|_)"
)
_PLACE = re.compile(r"<[a-z]+:(\d+)>")
_QUOTED = re.compile(f"({_PATTERNS[0][1]})")
_QUESTION = re.compile(
    r"(?:(?:hi|hello|hey)\W+)?(?:what|how|is|are|which|who|where|when|can|could|would|will|do|does|has|have)\b",
    re.IGNORECASE,
)
_MANNERS = frozenset(
    {"hi", "hello", "hey", "there", "please", "kindly", "can", "could", "would", "you", ",", "!"}
)
"""What may stand before the first word of a goal, whose capital means nothing."""
_ARTICLES = frozenset({"a", "an", "the"})
_NOT_AFTER_ARTICLES = frozenset(
    {
        "to",
        "and",
        "or",
        "with",
        "from",
        "in",
        "into",
        "on",
        "onto",
        "of",
        "is",
        "are",
        "by",
        "for",
        "at",
        "as",
        "if",
        "then",
        "than",
    }
)
_SYNONYMS = {
    word: group[0]
    for group in (
        ("show", "display"),
        ("directory", "folder"),
        ("directories", "folders"),
        ("not", "don't", "dont"),
        ("usage", "utilisation", "utilization"),
        ("largest", "biggest"),
        ("newest", "latest"),
        ("CPU", "cpu", "processor"),
        ("memory", "RAM", "ram"),
    )
    for word in group
}
_CHANNELS = frozenset({"tag", "image", "channel", "label", "alias", "version"})
"""What is called `latest`, and need not be the newest."""


def read_goal(goal: str) -> Reading:
    """The goal in the one wording that its paraphrases share, as far as rules can tell."""
    words: list[str] = []
    found: list[Parameter] = []
    asked = _asked(goal.strip())
    for match in _TOKEN.finditer(asked):
        kind = match.lastgroup or "word"
        text = match.group()
        if kind == "word":
            words.append(_folded(text, first=_MANNERS.issuperset(words)))
        elif kind in ("stop", "sign"):
            words.append(text if kind == "stop" else _glued(match, asked))
        else:
            words.append(f"<{kind}:{len(found)}>")
            found.append(Parameter(kind=Kind(kind), value=text.strip()))
    said = reworded(" ".join(_plain(words))).split()
    places = [int(place.group(1)) for word in said if (place := _PLACE.fullmatch(word))]
    return Reading(
        words=tuple(_PLACE.sub(lambda place: f"<{found[int(place.group(1))].kind}>", word) for word in said),
        parameters=tuple(found[place] for place in places),
    )


def _asked(goal: str) -> str:
    """Without the mark at its end. That of a question is none elsewhere, where it may be a pattern's; a stop that
    stands alone is a place."""
    if _QUESTION.match(goal):
        return re.sub(r"\?(?=\s*(?:thanks|thank you)?[.!]?$)", "", goal, flags=re.IGNORECASE)
    return re.sub(r"(?<=[^\s.])[.!]$", "", goal)


def normalised(goal: str) -> str:
    """The exact form: white space outside of quotes is evened out, and nothing else."""
    parts = _QUOTED.split(goal.strip())
    return "".join(part if place % 2 else re.sub(r"\s+", " ", part) for place, part in enumerate(parts))


def _folded(text: str, *, first: bool) -> str:
    """Case is kept where it may mean something: everywhere but in the first word."""
    plain = text.replace("’", "'")
    return (
        plain.lower() if (first and plain[1:].replace("'", "").islower()) or plain in ("I", "I'd") else plain
    )


def _glued(match: re.Match[str], goal: str) -> str:
    """A sign with what it hangs on: `a* b` and `a *b` are different patterns, `.env` and `env` different files."""
    before, after = goal[match.start() - 1 : match.start()], goal[match.end() : match.end() + 1]
    return f"{'~' * bool(before.strip())}{match.group()}{'~' * bool(after.strip())}"


def _plain(words: Sequence[str]) -> list[str]:
    """One word for one thing, and none for what changes nothing."""
    return [
        _SYNONYMS.get(word, word) if word != "latest" or _names_something(after, _CHANNELS) else word
        for word, after in pairwise([*words, ""])
        if not (
            word in ("please", "kindly")
            or (word in _ARTICLES and _names_something(after, _NOT_AFTER_ARTICLES))
        )
    ]


def _names_something(word: str, but: Collection[str]) -> bool:
    """Whether an article may stand before it; in `option a` and `copy a to b` there is none."""
    return word.startswith("<") or (len(word) > 1 and word.isalpha() and word not in but)
