"""Conditions are total: every text is a condition or a problem, and what cannot be compared is false."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.plan.conditions import ConditionProblem, holds, references_of
from holdfast.plan.references import ReferenceProblem

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.floats(-9, 9, allow_subnormal=False)
    | st.text(max_size=4)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
WORDS = st.sampled_from(
    [
        "and",
        "or",
        "not",
        "in",
        "contains",
        "(",
        ")",
        "==",
        "<",
        "1",
        '"a"',
        "true",
        "${item}",
        "null",
        "x",
        '"',
    ]
)


@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(), VALUES)
@example("007", None)
@example('"\\q"', None)
@example("٣ == 3", None)
@example("1e999", None)
@example("9" * 5000, None)
@example("not " * 150 + "true", None)
@example("(" * 150 + "true" + ")" * 150, None)
def test_every_text_is_a_condition_or_a_problem(text: str, item: Any) -> None:
    try:
        answer = holds(text, {"item": item})
    except (ConditionProblem, ReferenceProblem):
        return
    assert isinstance(answer, bool)
    assert list(references_of(text)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "${" + '"a"' * 30_000,
        "${inputs.a ?? " + '"a"' * 30_000,
        '"' + "\\a" * 50_000,
        "(" * 100_000,
        "not " * 25_000,
        " " * 100_000,
        "${item} and " * 8_000,
    ],
    ids=["quotes", "defaults", "escapes", "parentheses", "nots", "spaces", "many"],
)
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    begun = time.process_time()
    with pytest.raises((ConditionProblem, ReferenceProblem)):
        holds(text, {"item": 1})
    assert time.process_time() - begun < 2


@given(VALUES, VALUES)
def test_equal_and_unequal_are_opposites(left: Any, right: Any) -> None:
    scope = {"inputs": {"left": left, "right": right}}
    assert holds("${inputs.left} == ${inputs.right}", scope) is not holds(
        "${inputs.left} != ${inputs.right}", scope
    )


@given(VALUES, VALUES, st.sampled_from(["<", "<=", ">", ">="]))
def test_only_numbers_and_texts_have_an_order(left: Any, right: Any, operator: str) -> None:
    scope = {"inputs": {"left": left, "right": right}}
    answer = holds(f"${{inputs.left}} {operator} ${{inputs.right}}", scope)
    kinds = {type(left), type(right)}
    if kinds <= {int, float} or kinds == {str}:
        assert (
            answer
            is {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator]
        )
    else:
        assert answer is False


@given(st.booleans(), st.booleans(), st.booleans())
def test_not_binds_tighter_than_and_and_and_tighter_than_or(a: bool, b: bool, c: bool) -> None:  # noqa: FBT001
    scope = {"inputs": {"a": a, "b": b, "c": c}}
    text = "not ${inputs.a} and ${inputs.b} or ${inputs.c}"
    assert holds(text, scope) is (((not a) and b) or c)
    assert holds("not (${inputs.a} and (${inputs.b} or ${inputs.c}))", scope) is not (a and (b or c))


@given(VALUES, st.lists(VALUES, max_size=4))
def test_contains_is_in_the_other_way_round(member: Any, members: list[Any]) -> None:
    scope = {"inputs": {"member": member, "members": members}}
    inside = holds("${inputs.member} in ${inputs.members}", scope)
    assert inside is holds("${inputs.members} contains ${inputs.member}", scope)
    assert inside is any(
        holds("${inputs.a} == ${inputs.b}", {"inputs": {"a": member, "b": each}}) for each in members
    )


@given(SCALARS)
def test_a_value_may_be_written_as_json(value: Any) -> None:
    assert holds(f"${{item}} == {json.dumps(value)}", {"item": value})


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("${item.used} > 90 and not ${inputs.dry_run ?? false}", True),
        ('${item.name} contains "og" or false', True),
        ('"used" in ${item}', True),
        ("1 in ${item}", False),
        ('${item.note ?? "} or true"} == "} or true"', True),
        ("true == 1", False),
        ("1 in ${item.flags}", False),
        ("${item.used} >= 9.1e1", True),
        ("${item.empty}", False),
    ],
)
def test_conditions_mean_what_they_say(text: str, answer: bool) -> None:  # noqa: FBT001
    item = {"used": 91, "name": "logs", "flags": [True], "empty": []}
    assert holds(text, {"item": item, "inputs": {}}) is answer


def test_a_misspelt_reference_never_decides_anything() -> None:
    with pytest.raises(ReferenceProblem, match="leads nowhere"):
        holds("true or ${inputs.mispelt}", {"inputs": {}})
