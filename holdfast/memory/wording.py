"""Words from elsewhere, before memory keeps them: what nobody can see is left out, and a quotation is one plain line."""

import json
import re
import unicodedata

_QUOTED = 240
_JOINERS = "\u200c\u200d"
"""Some scripts, and emoji, are not written right without these."""
_MARKUP = re.compile(r"[\x00-\x1f\x7f`<>{}\[\]\u2028\u2029]")
_SECRET = re.compile(
    r"(?P<name>\b[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|credential)s?\b[\"']?\s*[=:]\s*)\S+"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"
    r"|(?P<url>://[^/\s:@]*:)[^/\s@]+(?=@)"
    r"|(?P<key>\b(?:sk|hf|ghp|xoxb|AKIA)[-_]?)[\w-]{12,}",
    re.IGNORECASE,
)


def visible(text: str) -> str:
    """The text as a person sees it who vouches for it: without marks of direction, tags and other hidden characters."""
    return "".join(each for each in text if each in _JOINERS or not _hidden(each))


def _hidden(each: str) -> bool:
    selects = "\ufe00" <= each < "\ufe0f" or "\U000e0100" <= each <= "\U000e01ef"
    return selects or unicodedata.category(each) in ("Cf", "Co")


def quoted(text: str) -> str:
    """Text from outside as one short quotation on one line; it can be read, and not mistaken for our own words. What looks
    like a secret is left out: memory is read by many, and long after.
    """
    plain = re.sub(r"\s+", " ", _MARKUP.sub(" ", visible(text))).strip()
    return json.dumps(_SECRET.sub(_nameless, plain)[:_QUOTED], ensure_ascii=False)


def _nameless(found: re.Match[str]) -> str:
    return f"{found['name'] or found['scheme'] or found['url'] or found['key']}…"
