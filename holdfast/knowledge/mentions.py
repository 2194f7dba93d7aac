"""What a goal in plain words says of an input: its value where that is beyond doubt, else what is doubtful about it.

A value that is taken wrongly is worse than a question. So what is named in several values, denied, excepted, or belongs to
something else is asked for, also where there is a default: a default against a word in the goal would be wrong as well.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.knowledge import RunbookInput, RunnableRunbook

_NUMBER_ENDS = r"(?![\d.,]*\d|\w|%|\s*(?:-|–|to|or|and|,|/)\s*\d)"
_VALUES: dict[str, str] = {
    "integer": rf"(?P<value>-?\d+){_NUMBER_ENDS}",
    "number": rf"(?P<value>-?\d+(?:\.\d+)?){_NUMBER_ENDS}",
    "boolean": r"(?P<value>true|false|yes|no)\b",
    "path": r"[`'\"]?(?P<value>/[^\s,;`'\"]*)",
    "host": r"[`'\"]?(?P<value>(?:\d{1,3}\.){3}\d{1,3}|[A-Za-z0-9][\w.-]*[\d.][\w.-]*|localhost)\b",
}
_NAME = r"[A-Za-z0-9@._-]*[A-Za-z0-9]"
_KIND = r"(?:service|unit|daemon)"
_ALONE: dict[str, tuple[str, ...]] = {
    "path": (r"(?<![\w./:~*-])(/(?:[\w.@+/-]*[\w/])?)(?![\w*{\[]|\?\w)",),
    "host": (
        r"(?<![\w@/.:-])((?:\d{1,3}\.){3}\d{1,3}|(?:[a-z0-9-]+\.)+[a-z]{2,}|localhost)(?![\w/-]|\.\w)",
        r"\b(?:host|server|machine|node|vm)\s+[`'\"]?([a-z][a-z0-9-]*\d[a-z0-9-]*)\b",
    ),
    "service": (
        rf"\b{_KIND}\s+(?:named\s+|called\s+)?[`'\"]({_NAME})[`'\"]",
        rf"[`'\"]({_NAME})[`'\"]\s+{_KIND}\b",
        rf"\b{_KIND}\s+(?:named|called)\s+({_NAME})",
        rf"\b{_KIND}\s+({_NAME})\s+(?:is|does|has|was|did|cannot|keeps|hangs|fails|on)\b",
        rf"(?<![\w@.-])({_NAME})\s+{_KIND}\b",
    ),
}
_FILES = "cert cfg conf crt csv gz html ini js json key lock log md pem pid py service sh sock sql tar txt xml yaml yml zip"
_NO_NAMES = (
    "a an the this that these those my our your its his her their some any no each every all both which what whose same other "
    "another first last next new old main only whole entire one two three is are was be been not and or of on in to with "
    "account accounts bus desk endpoint health it level manager mesh name port provider status there worker "
    "bad broken dead down slow flaky stuck wrong faulty remote local web system systemd background customer critical cloud "
    "public private internal external right certain particular affected unhealthy unavailable self full great poor good"
)
_NO_ENDINGS = ("ed", "ing", "ful", "less", "ous", "ive", "able", "ible", "ly", "est")
_ONE_OF_MANY = re.compile(r"\d\s*(?:-|–|to|or|and|,|/)\s*$")
_LINK = (
    r"(?:(?:the|a|on|in|at|for|from|of|to|under|below|is|anything|everything|what|port|path|host|server|service|"
    r"directory|folder|file|last|first|only)\s+){0,4}"
)
_DENIES = re.compile(
    rf"(?:\b(?:not|except(?:ing)?(?:\s+for)?|excluding|but|without|besides|other\s+than|instead\s+of|rather\s+than|"
    rf"apart\s+from|ignor(?:e|ing)|skip(?:ping)?|outside(?:\s+of)?)\s+{_LINK}"
    r"|\b(?:do\s+not|don't|never)\s+(?:[\w-]+\s+){1,5})[`'\"]?$",
    re.IGNORECASE,
)
"""What stands in front of a value that is not wanted. That something `does not answer on port 80` denies no port."""


@dataclass(frozen=True)
class Mention:
    """A value, or a doubt, or neither: then the goal says nothing of the input."""

    value: str | None = None
    doubt: str = ""


def mentioned(wanted: RunbookInput, runbook: RunnableRunbook, goal: str) -> Mention:
    alone = sum(each.type == wanted.type for each in runbook.inputs) == 1
    found = list(_found(wanted, goal, alone=alone))
    values = list(dict.fromkeys(value for value, _ in found))
    if not values:
        return _doubtful(wanted, goal)
    if len(values) > 1:
        return Mention(doubt=f"the goal names several: {', '.join(values)}")
    if any(_DENIES.search(goal[:place]) or _ONE_OF_MANY.search(goal[:place]) for _, place in found):
        return Mention(doubt=f"the goal names {values[0]}, and may mean another")
    return Mention(value=values[0])


def _found(wanted: RunbookInput, goal: str, *, alone: bool) -> Iterator[tuple[str, int]]:
    """Values, and where what is said of each begins."""
    named = list(_by_name(wanted, goal))
    if named:
        yield from named
        return
    if wanted.choices:
        for choice in wanted.choices:
            for said in re.finditer(rf"(?i)(?<![\w-]){re.escape(choice)}(?![\w-])", goal):
                yield choice, said.start()
        return
    if alone and wanted.type in _ALONE:
        for pattern in _ALONE[wanted.type]:
            for said in re.finditer(pattern, goal):
                if _is_one(wanted.type, said[1]):
                    yield said[1], said.start()


def _by_name(wanted: RunbookInput, goal: str) -> Iterator[tuple[str, int]]:
    name = _name(wanted)
    shape = _VALUES.get(wanted.type, r"[`'\"]?(?P<value>[^\s,;`'\"]*[^\s,;`'\".])")
    between = r"\s*(?:=|:)\s*"
    if wanted.type in _VALUES:
        between = r"(?:\s*(?:=|:|\bis\b)\s*|\s+(?:number\s+|no\.\s*|nr\.?\s*|#\s*)?)"
    forms = [rf"(?i)\b{name}{between}{shape}"]
    if wanted.type not in _VALUES:
        forms = [rf"(?i)\b{name}\s*=\s*{shape}"]
    if wanted.type in ("integer", "number") and wanted.name.endswith("s") and wanted.name not in _TIMES:
        forms.append(rf"(?i)(?<![\w.,-]){_VALUES[wanted.type].removesuffix(_NUMBER_ENDS)}\s+{name}\b")
    if wanted.name in _TIMES:
        forms.append(
            rf"(?i)\b(?:older than|more than|over|at least)\s+{_VALUES['number'].removesuffix(_NUMBER_ENDS)}\s+{name}\b"
        )
    if wanted.name == "port":
        forms.append(r"(?:\]|\b(?:\d{1,3}\.){3}\d{1,3}|\blocalhost|\*):(?P<value>\d{1,5})\b")
    for form in forms:
        for said in re.finditer(form, goal):
            yield said["value"], said.start()


_TIMES = frozenset({"seconds", "minutes", "hours", "days", "weeks", "months", "years"})


def _name(wanted: RunbookInput) -> str:
    return re.escape(wanted.name).replace("_", "[ _-]")


def _doubtful(wanted: RunbookInput, goal: str) -> Mention:
    """A number that stands beside the name and could not be read as its value: nobody can tell what is meant."""
    if wanted.type not in ("integer", "number"):
        return Mention()
    name = rf"{_name(wanted).removesuffix('s')}s?"
    beside = re.search(rf"(?i)\b{name}\W{{1,3}}(?:\w+\W+){{0,2}}-?\d[\d.,]*|\d[\d.,]*\s+{name}\b", goal)
    return (
        Mention(doubt=f"the goal says {beside[0]!r}, which may or may not be meant") if beside else Mention()
    )


def _is_one(kind: str, value: str) -> bool:
    """Whether it is what it looks like: `app.log` is no host, and the `failed service` has no name."""
    if kind == "host":
        return value.rsplit(".", 1)[-1].lower() not in _FILES.split()
    if kind == "service":
        return value.lower() not in _NO_NAMES.split() and not value.lower().endswith(_NO_ENDINGS)
    return True
