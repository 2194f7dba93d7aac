"""Whether a goal, and the plan made for it, mean the same at another time: a goal that points at something said or done
before does not, nor does a plan that was worked out for one day.
"""

import re

from holdfast.llm.goal_reading import Kind, read_goal

_POINTS_BACK = frozenset(
    {"again", "same", "previous", "previously", "earlier", "instead", "too", "another", "other", "others", "here"}
    | {"mine", "my", "our", "ours", "yes", "no", "ok", "okay"}
)  # fmt: skip
_GOES_ON = frozenset({"continue", "proceed", "resume", "retry", "repeat", "go", "more", "next"})
_GOES_BEFORE = frozenset({"and", "but", "or", "also", "then", "so"})
_A_GOAL = 3
_STANDS_FOR = frozenset({"it", "its", "them", "they", "their", "this", "these", "those", "that", "ones"})
_CLAUSE = frozenset(
    {"and", "if", "then", "when", "unless", "until", "after", "before", "because", "so", ",", ";", "."}
)
_OF_FILES = frozenset(
    {"is", "are", "was", "were", "has", "have", "had", "contain", "contains", "match", "matches"}
)
_A_DAY = re.compile(
    r"\b(?:19|20)\d{2}[-/.]?(?:0[1-9]|1[0-2])[-/.]?(?:0[1-9]|[12]\d|3[01])(?!\d)|\b1[6-9]\d{8}(?:\d{3})?\b"
    r"|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d{1,2}\b|\b\d{1,2}[./]\d{1,2}[./](?:19|20)\d{2}\b",
    re.IGNORECASE,
)


def stands_alone(goal: str) -> bool:
    """Whether its words say all it means. `delete it` does not; `find the largest file and delete it` does."""
    words = [word.lower() for word in read_goal(goal).words]
    if _POINTS_BACK.intersection(words) or (len(words) < _A_GOAL and _GOES_ON.intersection(words)):
        return False
    if words[:1] and (words[0] in _GOES_BEFORE or tuple(words[:2]) in (("what", "about"), ("how", "about"))):
        return False
    return not any(
        word in _STANDS_FOR and not _is_explained(words, place) for place, word in enumerate(words)
    )


def _is_explained(words: list[str], place: int) -> bool:
    """What stands for something may do so where an earlier clause has named it, or where it begins one of its own."""
    if words[place] == "that" and words[place + 1 : place + 2] and words[place + 1] in _OF_FILES:
        return True
    return any(word in _CLAUSE for word in words[2:place])


def days_in(text: str) -> set[str]:
    """The days a text names, however they are written; also as seconds since 1970."""
    dated = {
        each.value for each in read_goal(text).parameters if each.kind is Kind.DATE and "-" in each.value
    }
    return dated | set(_A_DAY.findall(text))
