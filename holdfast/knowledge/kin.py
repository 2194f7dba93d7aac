"""Words that stand for one another: who writes `host` and who asks for a `machine` mean one thing, and are found by its kind.

The kinds stand in `kin.yaml`. In the index each is a term beside the words themselves, with a mark that no word has.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

import yaml

from holdfast.knowledge.stemming import stem

MARK = "~"


def with_kinds(counted: Mapping[str, float]) -> dict[str, float]:
    """Terms and how often each is said; the kinds of each are said as often."""
    found = dict(counted)
    for term, times in counted.items():
        for kind in _kinds().get(term, ()):
            found[kind] = found.get(kind, 0) + times
    return found


def is_kind(term: str) -> bool:
    return term.startswith(MARK)


def met_otherwise(terms: Iterable[str]) -> list[str]:
    """The kinds among these terms of which no word is among them: they were met in other words."""
    given = list(terms)
    own = {kind for term in given for kind in _kinds().get(term, ())}
    return [term.removeprefix(MARK) for term in given if is_kind(term) and term not in own]


@cache
def _kinds() -> Mapping[str, tuple[str, ...]]:
    """By stem, the kinds of a word."""
    text = files("holdfast.knowledge").joinpath("kin.yaml").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for words in yaml.safe_load(text):
        for term in dict.fromkeys(stem(str(word)) for word in words):
            found.setdefault(term, []).append(f"{MARK}{words[0]}")
    return {term: tuple(kinds) for term, kinds in found.items()}
