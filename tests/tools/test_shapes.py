"""Schemas of strangers: whatever one says, holding a value against it ends soon, fetches nothing and raises nothing."""

import time
from typing import Any

import pytest

from holdfast.shapes import BadSchema, Shape, check_schema
from holdfast.tools.plain import DEEPEST, plain


def doubling(levels: int) -> dict[str, Any]:
    named: dict[str, Any] = {"a0": {"type": "object"}}
    for level in range(1, levels):
        named[f"a{level}"] = {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}] * 2}
    return {"$defs": named, "$ref": f"#/$defs/a{levels - 1}"}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "http://127.0.0.1:9/schema"}, "is elsewhere, and nothing is fetched"),
        ({"$dynamicRef": "file:///etc/passwd"}, "is elsewhere"),
        ({"$ref": "#"}, "without end"),
        ({"$ref": "#/$defs/nowhere"}, "not in the schema itself"),
        (doubling(30), "references are followed"),
        (nested(5_000), "no JSON schema"),
        ({"type": "banana"}, "no JSON schema"),
        ({"properties": []}, "no JSON schema"),
        ({"minimum": float("nan")}, "no JSON schema"),
        ({"description": "x" * 300_000}, "longer than"),
        ({"properties": {"a": {"pattern": "(?=x)y"}}}, "no RE2 expression"),
        ({"patternProperties": {"(a)\\1": {}}}, "no RE2 expression"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_its_reason(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSchema) as refusal:
        check_schema(schema)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}, {"a": "a" * 5_000 + "!"}),
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, {"a" * 5_000 + "!": 1}),
        ({"propertyNames": {"pattern": "^(a|aa)+$"}}, {"a" * 5_000 + "!": 1}),
    ],
)
def test_no_pattern_takes_longer_than_its_text(schema: dict[str, Any], value: dict[str, Any]) -> None:
    check_schema(schema)
    began = time.process_time()
    assert Shape(schema).complaint(value)
    assert time.process_time() - began < 2


def test_a_pattern_beyond_re2_is_left_to_the_tool_where_the_schema_is_a_strangers() -> None:
    schema = {"properties": {"a": {"pattern": "(?=x)y"}}}
    check_schema(schema, patterns=False)
    assert Shape(schema).complaint({"a": "anything"}) == ""


def test_a_schema_may_refer_to_itself_as_far_as_the_value_goes() -> None:
    tree = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}
    check_schema(tree)
    assert Shape(tree).complaint({"kids": [{"kids": []}]}) == ""
    assert Shape(tree).complaint({"kids": [{"kids": [7]}]}).startswith("kids/0/kids/0: 7 is not")


def test_other_names_are_matched_by_their_patterns() -> None:
    schema = {
        "properties": {"a": {}},
        "patternProperties": {"^x-": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
    }
    shape = Shape(schema)
    assert shape.complaint({"a": None, "x-1": 1, "other": "text"}) == ""
    assert shape.complaint({"x-1": "one"}).startswith("x-1:")
    assert shape.complaint({"other": 1}).startswith("other:")


def test_what_no_store_takes_is_marked() -> None:
    deep: Any = "bottom"
    for _ in range(DEEPEST + 50):
        deep = [deep]
    kept = plain({"a\0": [float("inf"), "\ud800", 1.5, None, True], "deep": deep})
    assert kept["a\ufffd"] == ["inf", "\ufffd", 1.5, None, True]
    assert "nested deeper" in str(kept["deep"])
