"""Which runbook an alert rule means: the one it names by its `runbook_url`, or the one that has the alert's name."""

import re

from schemas.knowledge import Document

_ENDINGS = re.compile(r"\.(md|markdown|mdx|html?|rst|adoc|txt)$", re.IGNORECASE)
_SAYS_NOTHING = frozenset({"readme", "index", "runbook", "runbooks"})
_SHORTEST = 4


def names_of(document: Document) -> frozenset[str]:
    """What a runbook may be called by: its alert, its title, the last part of its id and of its address."""
    said = (document.alert, document.title, _last(document.id), _last(document.uri))
    return frozenset(name for name in map(plain, said) if _tells(name))


def names_meant(alert: str, uri: str) -> frozenset[str]:
    """What an alert rule calls its runbook: its own name, the end of the URL, the heading the URL points at."""
    address, _, heading = uri.partition("#")
    said = (alert, _last(address), heading.removeprefix("alert-name-"))
    return frozenset(name for name in map(plain, said) if _tells(name))


def plain(name: str) -> str:
    """`DiskFillingUp`, `disk-filling-up` and `Disk filling up` are one name. The store's SQL does the same."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _last(path: str) -> str:
    return _ENDINGS.sub("", path.rstrip("/").rsplit("/", 1)[-1])


def _tells(name: str) -> bool:
    return len(name) >= _SHORTEST and name not in _SAYS_NOTHING
