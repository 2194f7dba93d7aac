"""Takes a plan that was made for one goal and binds it to another's parameters, or says why that would be wrong.

A plan is reused only if the two goals say the same in the same order and differ in nothing but digits: of a host, a
path, a name, a number. And only if every value that differs can be found in the plan, and nothing in the plan looks as
if it had been derived from it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from holdfast.llm.goal_reading import Kind, Parameter, Reading, read_goal
from schemas.plans import Plan

_TEXTS = (
    "title",
    "why",
    "when",
    "for_each",
    "message",
    "goal",
    "arguments",
    "inputs",
    "until",
    "event",
    "compensation",
)
_NUMBER = re.compile(r"(-?)(\d+(?:[.,]\d+)*)\s?(\D*)")
_FIXED = frozenset({Kind.QUOTED, Kind.VERSION, Kind.EMAIL})
_NAMES = frozenset({Kind.HOST, Kind.NAME, Kind.ADDRESS, Kind.URL})
_NEAR_KINDS = {
    Kind.HOST: _NAMES,
    Kind.NAME: _NAMES,
    Kind.NUMBER: frozenset({Kind.NUMBER, Kind.DATE}),
    Kind.DATE: frozenset({Kind.NUMBER, Kind.DATE}),
}
_UNREAD = ("id", "depends_on", "cites")
_EDGE = r"[\w./:@-]"


class NotTheSame(ValueError):
    """Why a plan cannot serve another goal."""


def rebound(plan: Plan, made_for: Reading, wanted: Reading) -> Plan:
    """Raises NotTheSame where reuse would be a guess."""
    if made_for.words != wanted.words:
        raise NotTheSame("the goals use different words, or another order")
    changes = _changes(made_for.parameters, wanted.parameters)
    if not changes:
        return plan
    _refuse_derived(changes, made_for, plan)
    written = _written(plan)
    for old in changes:
        if not any(re.search(_whole(old), text) for text in written):
            raise NotTheSame(f"the plan does not carry {old!r}, so it cannot be told what it stands for")
        _refuse_chance(old, [each.value for each in made_for.parameters].count(old), plan)
    return _replaced(plan, {old: new.value for old, new in changes.items()})


def _changes(before: Sequence[Parameter], after: Sequence[Parameter]) -> dict[str, Parameter]:
    changes: dict[str, Parameter] = {}
    kept: set[str] = set()
    for old, new in zip(before, after, strict=True):
        if old.value == new.value:
            kept.add(old.value)
            continue
        _refuse_other_kind(old, new)
        if changes.get(old.value, new) != new:
            raise NotTheSame(f"{old.value!r} stands for two things that differ now")
        changes[old.value] = new
    if mixed := kept & set(changes):
        raise NotTheSame(f"{min(mixed)!r} stands for two things, and only one of them differs")
    return changes


def _refuse_other_kind(old: Parameter, new: Parameter) -> None:
    if not new.value.isascii():
        raise NotTheSame(f"{new.value!r} is written in other digits than a plan's")
    if old.kind in _FIXED or (old.stem != new.stem and old.kind is not Kind.NUMBER):
        raise NotTheSame(f"{old.value!r} and {new.value!r} differ in more than their digits")
    if old.kind is Kind.NUMBER:
        ours, theirs = _NUMBER.fullmatch(old.value), _NUMBER.fullmatch(new.value)
        if not ours or not theirs or ours.group(1, 3) != theirs.group(1, 3):
            raise NotTheSame(f"{old.value!r} and {new.value!r} differ in sign or unit")
        if ("," in old.value) != ("," in new.value):
            raise NotTheSame(f"{old.value!r} and {new.value!r} may be written in different ways")
        if 0 in (_amount(ours.group(2)), _amount(theirs.group(2))):
            raise NotTheSame("nothing and something are not the same amount")


def _amount(digits: str) -> float:
    """Digits with several separators are no amount anybody can compare; they are not zero, at least."""
    plain = digits.replace(",", ".")
    return float(plain) if plain.count(".") <= 1 else 1.0


def _refuse_derived(changes: Mapping[str, Parameter], made_for: Reading, plan: Plan) -> None:
    """A value of the same kind that the goal did not name, or the same digits elsewhere, may have been worked out from
    what changes: a port from a host's number, an end from a beginning."""
    named = {parameter.value for parameter in made_for.parameters}
    kinds = {
        kind for parameter in changes.values() for kind in _NEAR_KINDS.get(parameter.kind, {parameter.kind})
    }
    digits = {int(run) for old in changes for run in re.findall(r"\d+", old)}
    for text in [*_written(plan), *_elsewhere(plan)]:
        for found in read_goal(text).parameters:
            if found.kind in kinds and found.value not in named:
                raise NotTheSame(f"the plan holds {found.value!r}, which may depend on what differs")
        rest = re.sub("|".join(map(_whole, changes)), " ", text)
        if digits & {int(run) for run in re.findall(r"\d+", rest)} or any(old in rest for old in changes):
            raise NotTheSame(f"the plan holds parts of {', '.join(changes)} elsewhere")


def _refuse_chance(old: str, named: int, plan: Plan) -> None:
    """A number may stand in a plan by chance: in more places than the goal named it, one of them may be another's."""
    if not re.fullmatch(r"-?[\d.,]+", old):
        return
    steps = plan.model_dump(mode="json", exclude_defaults=True)["steps"]
    places = {
        (where, *_before(text[: found.start()]))
        for step in steps
        for where, text in _placed(step, "")
        for found in re.finditer(_whole(old), text)
    }
    if len(places) > named:
        raise NotTheSame(f"the plan holds {old!r} in {len(places)} places, and the goal names it less often")


def _before(text: str) -> tuple[str, ...]:
    """What tells whose number follows: what is glued to it, and the two words in front."""
    *words, glued = text.split(" ")
    return (*[word for word in words if word][-2:], glued)


def _placed(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """What a step does, with where in it each text stands. Its title and reasons only tell."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in ("title", "why", *_UNREAD):
                yield from _placed(item, f"{where}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _placed(item, where)
    else:
        for text in _strings(value):
            yield where, text


def _whole(value: str) -> str:
    return rf"(?<!{_EDGE}){re.escape(value)}(?!{_EDGE})"


def _written(plan: Plan) -> list[str]:
    """Every text of the plan that a parameter may stand in; references are no text."""
    steps = plan.model_dump(mode="json", exclude_defaults=True)["steps"]
    texts = [text for step in steps for name in _TEXTS for text in _strings(step.get(name))]
    texts += [plan.rationale, plan.answer or ""]
    return [re.sub(r"\$\{[^}]*\}", " ", text) for text in texts]


def _elsewhere(plan: Plan) -> list[str]:
    """What of a step is not bound anew: its tool, its times, its retries. Nothing of the goal may stand there."""
    steps = plan.model_dump(mode="json", exclude_defaults=True)["steps"]
    fields = [value for step in steps for name, value in step.items() if name not in (*_TEXTS, *_UNREAD)]
    return [text for value in fields for text in _strings(value)]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield json.dumps(value)


def _replaced(plan: Plan, values: Mapping[str, str]) -> Plan:
    """All replacements in one pass, so that swapped values do not overwrite each other."""
    pattern = re.compile("|".join(_whole(old) for old in sorted(values, key=len, reverse=True)))

    def swap(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(lambda match: values[match.group()], value)
        if isinstance(value, dict):
            return {name: swap(item) for name, item in value.items()}
        if isinstance(value, list):
            return [swap(item) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return json.loads(swap(json.dumps(value)))
        return value

    dumped = plan.model_dump(mode="json")
    for step in dumped["steps"]:
        step.update({name: swap(step[name]) for name in _TEXTS if name in step})
    dumped.update(rationale=swap(plan.rationale), answer=swap(plan.answer))
    return Plan.model_validate(dumped)
