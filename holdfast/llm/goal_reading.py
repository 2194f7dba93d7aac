"""Reads a goal as words and parameters, so that two goals can be compared by what they say, not by how they sound.

Parameters are what a plan would carry in its arguments: numbers, hosts, addresses, paths, names. Everything else is a
word, and every word counts, save a short list that changes nothing and a short list of synonyms.
"""

import re
import unicodedata
from enum import StrEnum

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
    + r"|(?P<word>(?<=\w)['’]s\b|-{1,2}\w[\w-]*|[^\W\d_]+(?:['’][^\W\d_]+)?|\d+)|(?P<sign>[^\s\w.]|_)"
)
_PLACE = re.compile(r"<[a-z]+:(\d+)>")
_QUESTION = re.compile(
    r"(?:what|how|is|are|which|who|where|when|can|could|would|will|do|does)\b", re.IGNORECASE
)
_NEUTRAL = frozenset({"a", "an", "the", "please", "kindly", "could", "can", "would", "you"})
_SYNONYMS = {
    word: group[0]
    for group in (
        ("check", "verify", "inspect", "examine"),
        ("show", "display", "print"),
        ("host", "machine", "server"),
        ("directory", "folder"),
        ("directories", "folders"),
        ("not", "don't", "dont", "never"),
        ("usage", "utilisation", "utilization"),
        ("largest", "biggest"),
        ("newest", "latest"),
        ("CPU", "cpu", "processor"),
        ("memory", "RAM", "ram"),
    )
    for word in group
}


def read_goal(goal: str) -> Reading:
    """The goal in the one wording that its paraphrases share, as far as rules can tell."""
    words: list[str] = []
    found: list[Parameter] = []
    for match in _TOKEN.finditer(_asked(unicodedata.normalize("NFKC", goal).strip())):
        kind = match.lastgroup or "word"
        text = match.group()
        if kind in ("word", "sign"):
            words.extend(_word(text))
        else:
            words.append(f"<{kind}:{len(found)}>")
            found.append(Parameter(kind=Kind(kind), value=text.strip()))
    said = reworded(" ".join(words)).split()
    places = [int(place.group(1)) for word in said if (place := _PLACE.fullmatch(word))]
    return Reading(
        words=tuple(_PLACE.sub(lambda place: f"<{found[int(place.group(1))].kind}>", word) for word in said),
        parameters=tuple(found[place] for place in places),
    )


def _asked(goal: str) -> str:
    """The mark at the end of a question is no part of a path before it; elsewhere it may be a pattern's."""
    return goal.removesuffix("?") if _QUESTION.match(goal) else goal


def normalised(goal: str) -> str:
    """The exact form: only white space and the encoding of characters are evened out."""
    return " ".join(unicodedata.normalize("NFKC", goal).split())


def _word(text: str) -> list[str]:
    """Case is kept where it may mean something: in flags and in words that are not merely capitalised."""
    plain = text.replace("’", "'")
    folded = plain.lower() if plain[1:].replace("'", "").islower() or plain == "I" else plain
    return [] if folded in _NEUTRAL else [_SYNONYMS.get(folded, folded)]
