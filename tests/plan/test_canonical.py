"""Canonical JSON: one value, one byte form, on every machine and after every journey."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.canonical import DEEPEST, canonical_json, digest_of
from schemas.tools import ToolSpec

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=5),
    max_leaves=20,
)


def shuffled(value: Any) -> Any:
    """The same value with every object's keys in the opposite order."""
    if isinstance(value, dict):
        return {key: shuffled(item) for key, item in reversed(value.items())}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_the_order_of_keys_does_not_matter(value: Any) -> None:
    assert canonical_json(shuffled(value)) == canonical_json(value)


@given(JSON)
def test_a_digest_survives_the_journey_through_json(value: Any) -> None:
    assert digest_of(json.loads(json.dumps(value))) == digest_of(value)


@given(JSON)
def test_canonical_json_is_json_of_an_equal_value(value: Any) -> None:
    read = json.loads(canonical_json(value).decode("utf-8", errors="surrogatepass"))
    assert read == value
    assert canonical_json(read) == canonical_json(value)


@given(JSON, JSON)
def test_different_bytes_mean_different_values_and_the_reverse(one: Any, other: Any) -> None:
    same = canonical_json(one) == canonical_json(other)
    assert same is (json.dumps(_numbers(one), sort_keys=True) == json.dumps(_numbers(other), sort_keys=True))


def _numbers(value: Any) -> Any:
    """JSON has one kind of number: 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    return [_numbers(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        ({"ä": "€", "a\u2028": '"\\\n'}, '{"a\u2028":"\\"\\\\\\n","ä":"€"}'),
        ({"\U0001f600": 1, "\uffff": 2}, '{"\uffff":2,"\U0001f600":1}'),
        ([1.0, -0.0, 1e2, 0.1, 1e-7, 2**63], "[1,0,100,0.1,1e-07,9223372036854775808]"),
    ],
    ids=["keys", "unicode", "code points", "numbers"],
)
def test_the_bytes_are_fixed_for_ever(value: Any, written: str) -> None:
    """These digests stand in databases: a change here makes every stored verdict and approval void."""
    assert canonical_json(value).decode() == written


def test_a_digest_is_fixed_for_ever() -> None:
    assert (
        digest_of({"tool": "shell", "arguments": {"command": "df -h", "n": 2.0}})
        == "sha256:c65feaa8e6ba832063ac7d84e4e655bdf72aa71e2ed77ca10c738d36bc23c4d6"
    )


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), {1: 2}, {"a": {None: 1}}, {1, 2}, b"x", object()],
    ids=["nan", "inf", "-inf", "number as key", "none as key", "set", "bytes", "object"],
)
def test_what_json_cannot_say_has_no_digest(value: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|compliant"):
        digest_of(value)


def test_depth_has_a_bound_that_no_stack_decides() -> None:
    deep: list[Any] = []
    for _ in range(DEEPEST):
        deep = [deep]
    canonical_json(deep)
    with pytest.raises(ValueError, match="levels deep"):
        canonical_json([deep])


def test_a_copy_with_changes_has_a_digest_of_its_own() -> None:
    spec = ToolSpec(name="shell", description="Runs a command.")
    changed = spec.model_copy(update={"description": "Runs another."}) if spec.digest else spec
    assert changed.digest == ToolSpec(name="shell", description="Runs another.").digest != spec.digest
    assert spec.model_copy() == spec
    assert "digest" not in spec.model_dump()
