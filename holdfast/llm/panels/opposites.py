"""Words that turn a sentence round. Sentence embeddings put "scale up" beside "scale down": what is opposed here does not
agree, however similar it looks. A pair too many costs a vote of agreement, one too few lets opposites stand together.
"""

import re
from collections.abc import Mapping, Sequence

_WORD = re.compile(r"[a-z]+")
_SUFFIX = re.compile(r"(?:ing|ed|es|s)$")
_PREFIXES = ("un", "dis", "non", "de", "in", "im", "mis")
_PAIRS = """
up down · start stop · enable disable · open close · open shut · allow deny · allow block · permit forbid · accept reject
approve reject · add remove · attach detach · keep delete · keep remove · keep drop · create delete · create destroy
increase decrease · increase reduce · raise lower · grow shrink · more less · more fewer · high low · higher lower
fast slow · before after · first last · early late · on off · true false · yes no · success failure · pass fail
healthy sick · healthy broken · healthy ill · safe dangerous · safe risky · safe harmful · full empty · old new
old recent · forward back · push pull · read write · send receive · upload download · import export
primary replica · primary secondary · primary standby · master slave · leader follower · source target · source replica
client server · upstream downstream · parent child · internal external · inside outside · in out · inbound outbound
public private · left right · above below · over under · minimum maximum · min max · always never · all none · both neither
cause effect · win lose · lock unlock · connect disconnect · mount umount · freeze thaw · pause resume · wait proceed
online offline · active passive · available missing · present absent · same different · right wrong · good bad
local remote · manual automatic · temporary permanent · hot cold · encrypt decrypt · promote demote
upgrade downgrade · commit revert · expand contract · now later · now tomorrow · today tomorrow · today later · grant revoke · keep take · reboot wait · restart wait · proceed abort · wait act
"""


def stem(word: str) -> str:
    """Crude, and the same for both sides: `stopped`, `stopping` and `stops` are `stop`."""
    cut = _SUFFIX.sub("", word) if len(word) > 4 else word
    cut = cut[:-1] if len(cut) > 3 and cut[-1] == cut[-2] else cut
    return cut.removesuffix("e") if len(cut) > 3 else cut


_OPPOSITES: Sequence[tuple[str, str]] = tuple(
    (stem(one), stem(other))
    for one, other in (pair.split() for line in _PAIRS.strip().splitlines() for pair in line.split(" · "))
)


def opposed(one: str, other: str) -> bool:
    """Whether the texts say opposite things, or say the same two things the other way round."""
    ours, theirs = _places(one), _places(other)
    return any(_turned(pair, ours, theirs) for pair in _OPPOSITES) or _prefixed(ours, theirs)


def _turned(pair: tuple[str, str], ours: Mapping[str, int], theirs: Mapping[str, int]) -> bool:
    mine, yours = _order(pair, ours), _order(pair, theirs)
    return len(mine) == len(yours) > 0 and mine != yours


def _order(pair: tuple[str, str], places: Mapping[str, int]) -> list[str]:
    """Which of the two come, in the order in which they come first."""
    return sorted((word for word in pair if word in places), key=places.__getitem__)


def _prefixed(ours: Mapping[str, int], theirs: Mapping[str, int]) -> bool:
    """`stable` and `unstable`, `connect` and `disconnect`."""
    only_ours, only_theirs = ours.keys() - theirs.keys(), theirs.keys() - ours.keys()
    turned = {prefix + word for word in only_ours for prefix in _PREFIXES}
    turned_back = {prefix + word for word in only_theirs for prefix in _PREFIXES}
    return bool(turned & only_theirs or turned_back & only_ours)


def _places(text: str) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, word in enumerate(_WORD.findall(text.lower())):
        places.setdefault(stem(word), place)
    return places
