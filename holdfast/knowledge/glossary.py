"""Names said plainly: people ask for what a thing is, and runbooks are called by what it is named.

`KubeletDown` is also `agent of the control plane on each node down`. The names stand in `glossary.yaml`.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

from holdfast.knowledge.terms import split_words

_LONGEST = 4
"""So many words has the longest name."""


class Plain(NamedTuple):
    """A text in plain words, and what the names in it stand for."""

    said: str
    meant: tuple[str, ...]


def said_plainly(text: str) -> Plain:
    """The text with its names replaced; nothing is meant where it has none that is known."""
    names, words = _names(), [word.lower() for word in _parts(text)]
    said: list[str] = []
    meant: list[str] = []
    at = 0
    while at < len(words):
        taken, meaning = _name_at(words, at, names)
        said.append(meaning or words[at])
        meant.extend([meaning] if meaning else ())
        at += taken
    return Plain(" ".join(said), tuple(dict.fromkeys(meant)))


def _parts(text: str) -> list[str]:
    """The words of a text; one that is a single name in humps has that name as its last word too."""
    words = split_words(text)
    return words[:-1] if len(words) > 1 and words[-1] == text.strip() else words


def _name_at(words: list[str], at: int, names: Mapping[str, str]) -> tuple[int, str]:
    """The longest name that begins here: how many words it has, and what it stands for."""
    for count in range(min(_LONGEST, len(words) - at), 0, -1):
        name = "".join(words[at : at + count])
        if meaning := names.get(name) or names.get(name.removesuffix("s")):
            return count, meaning
    return 1, ""


@cache
def _names() -> Mapping[str, str]:
    """By name, without its spaces: `kube proxy`, `KubeProxy` and `kubeproxy` are one."""
    text = files("holdfast.knowledge").joinpath("glossary.yaml").read_text(encoding="utf-8")
    return {str(name).replace(" ", ""): meaning for name, meaning in yaml.safe_load(text).items()}
