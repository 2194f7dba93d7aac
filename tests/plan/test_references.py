"""References are total: every text has a meaning or a ReferenceProblem, soon, and never another exception."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.plan.references import ROOTS, Reference, ReferenceProblem, follow, parse, references_in, resolve
from schemas.canonical import canonical_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NEAR_REFERENCES = st.lists(
    st.sampled_from(
        ["$", "$$", "${", "$${", "}", "steps", "inputs", "item", ".a", "[0]", '["k"]', " ?? ", '"', "\\", "["]
    )
    | st.characters(exclude_categories=["Cs"]),  # no text that came as UTF-8 has one
    max_size=30,
).map("".join)


@given(NEAR_REFERENCES | st.text(), st.dictionaries(st.sampled_from(ROOTS), JSON))
@example("${inputs.a ?? NaN}", {})
@example("${inputs.a ?? 1e999}", {})
@example('${inputs.a ?? "\\ud800"}', {})
@example('${inputs["\\x"]}', {})
@example("${inputs[٣]}", {})
@example("${steps}", {})
def test_every_text_has_a_meaning_or_a_problem(text: str, scope: dict[str, Any]) -> None:
    try:
        value = resolve(text, scope)
    except ReferenceProblem:
        return
    canonical_json(value).decode()


HOSTILE = {
    "open": "${" * 50_000,
    "escaped": "$${" * 33_000,
    "many": "${item}" * 14_000,
    "many defaults": "${inputs.a ?? {}}" * 6_000,
    "deep default": "${inputs.a ?? " + "[" * 100_000,
    "deep closed default": "${inputs.a ?? " + "[" * 50_000 + "]" * 50_000 + "}",
    "long path": "${inputs" + "[0]" * 33_000 + "}",
    "spaces": "${inputs" + " " * 100_000 + "}",
    "quotes": '${inputs["' + '\\"' * 50_000,
    "long number": "${inputs.a ?? " + "9" * 100_000 + "}",
    "dollars": "$" * 100_000 + "{",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_read_or_refused_at_once(text: str) -> None:
    begun = time.process_time()
    with suppress(ReferenceProblem):
        resolve(text, {"item": 1, "inputs": {}})
    assert time.process_time() - begun < 2


@given(KEYS, JSON)
def test_a_value_keeps_its_type_where_the_text_is_one_reference(key: str, value: Any) -> None:
    text = "${inputs[" + json.dumps(key) + "]}"
    assert resolve(text, {"inputs": {key: value}}) is value


@given(JSON)
def test_a_value_is_written_out_inside_a_longer_text(value: Any) -> None:
    written = value if isinstance(value, str) else canonical_json(value).decode()
    assert resolve("<${item}>", {"item": value}) == f"<{written}>"


@given(st.text())
def test_a_text_without_an_opening_is_itself(text: str) -> None:
    if "${" not in text:
        assert resolve(text, {}) == text


@given(st.text(alphabet="a}{ "))
def test_a_doubled_dollar_writes_the_opening(text: str) -> None:
    assert resolve("$${" + text, {}) == "${" + text


@given(JSON)
def test_a_default_stands_in_for_what_is_missing_and_for_nothing_else(value: Any) -> None:
    text = "${inputs.a ?? " + json.dumps(value) + " }"
    assert resolve(text, {"inputs": {}}) == value
    assert resolve(text, {"inputs": {"a": None}}) is None


@given(NAMES, st.lists(NAMES | KEYS | st.integers(-9, 9), max_size=5))
def test_a_reference_reads_back_as_it_is_written(step: str, path: list[str | int]) -> None:
    reference = Reference("steps", (step, *path))
    assert parse(f"${{{reference}}}") == [reference]


@given(JSON, NAMES)
def test_references_are_found_however_deep(around: Any, name: str) -> None:
    found = list(references_in({"a": [{"b": "x ${inputs." + name + "} y"}]}))
    assert found == [Reference("inputs", (name,))]


@pytest.mark.parametrize("text", ["${steps}", "${steps[0].output}", "${steps ?? 1}"])
def test_steps_needs_the_name_of_one(text: str) -> None:
    with pytest.raises(ReferenceProblem, match="name of a step"):
        parse(text)


@pytest.mark.parametrize(
    ("path", "value"), [("[1]", 2), ("[-1]", 3), ("[3]", None), ("[-4]", None), (".length", None)]
)
def test_an_index_counts_from_either_end_and_never_beyond(path: str, value: int | None) -> None:
    (reference,) = parse("${item" + path + " ?? null}")
    assert isinstance(reference, Reference)
    assert follow(reference, {"item": [1, 2, 3]}) == value


def test_white_space_of_any_kind_may_stand_around_a_default() -> None:
    assert resolve("${inputs.a\n ??\n\t [1] \n}", {"inputs": {}}) == [1]


def test_a_problem_names_the_reference_that_leads_nowhere() -> None:
    with pytest.raises(ReferenceProblem, match=r"\$\{steps\.a\.output\[\"b c\"\]\} leads nowhere"):
        resolve('${steps.a.output["b c"]}', {"steps": {"a": {"output": {}}}})
