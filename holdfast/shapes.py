"""The JSON schema of a tool, and values held against it, within bounds: a schema may be a stranger's.

Nothing is fetched, no pattern is given more than linear time (RE2), and no schema is followed further than a budget.
"""

import json
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import jsonschema
from cel_expr_python import cel
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from schemas.base import JsonObject

_MOST_CHARS = 200_000
_MOST_REFERENCES = 5_000
_left: ContextVar[list[int]] = ContextVar("references_left")
_OURS: Mapping[str, Any] = Draft202012Validator.VALIDATORS


class BadSchema(Exception):
    """The schema cannot be used; the words say why."""


class Shape:
    """One schema, ready for many values."""

    def __init__(self, schema: JsonObject) -> None:
        self._schema = schema
        named = "patternProperties" in json.dumps(schema, default=str)
        self._validator = (_BoundedByNames if named else _Bounded)(schema, registry=Registry())

    def errors(self, value: Any) -> list[ValidationError]:
        """What does not fit. Raises BadSchema where the schema itself stands in the way."""
        token = _left.set([_MOST_REFERENCES])
        try:
            return list(self._validator.iter_errors(value))
        except Unresolvable as error:
            raise BadSchema(f"$ref: {str(error)[:200]} is not in the schema itself") from error
        except RecursionError as error:
            raise BadSchema("it refers to itself without end") from error
        except (jsonschema.SchemaError, jsonschema.exceptions.UnknownType, TypeError, ValueError) as error:
            raise BadSchema(str(error).partition("\n")[0][:300]) from error
        finally:
            _left.reset(token)

    def complaint(self, value: Any) -> str:
        """The first thing that does not fit, with its place; empty where all fits."""
        try:
            error = next(iter(self.errors(value)), None)
        except BadSchema as problem:
            return f"the schema cannot be used: {problem}"
        if error is None:
            return ""
        where = "/".join(str(part) for part in error.absolute_path)
        return f"{where + ': ' if where else ''}{error.message}"[:500]


def check_schema(schema: JsonObject, *, patterns: bool = True) -> None:
    """Raises BadSchema for what is no JSON schema, or none that can be used here. Without `patterns` those beyond RE2 are
    let be, and later not checked."""
    try:
        if len(json.dumps(schema, allow_nan=False)) > _MOST_CHARS:
            raise BadSchema(f"it is longer than {_MOST_CHARS} characters")
        Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise BadSchema(f"this is no JSON schema: {error.message[:300]}") from error
    except (RecursionError, TypeError, ValueError) as error:
        raise BadSchema(f"this is no JSON schema: {str(error)[:300]}") from error
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for keyword, said in _keywords(schema):
        if keyword in ("$ref", "$dynamicRef") and isinstance(said, str) and not said.startswith("#"):
            raise BadSchema(f"{keyword}: {said[:200]} is elsewhere, and nothing is fetched")
        if keyword == "$ref" and isinstance(said, str):
            _require_target(resolver, said)
        if patterns and (beyond := _beyond_re2(keyword, said)):
            raise BadSchema(f"{keyword}: {beyond[:200]} is no RE2 expression")
    Shape(schema).errors({})


def _require_target(resolver: Any, reference: str) -> None:
    try:
        resolver.lookup(reference)
    except Unresolvable as error:
        raise BadSchema(f"$ref: {reference[:200]} is not in the schema itself") from error


def _beyond_re2(keyword: str, said: Any) -> str:
    named = said if keyword == "patternProperties" else [said] if keyword == "pattern" else []
    return next((one for one in named if isinstance(one, str) and _expression(one) is None), "")


def _keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        for keyword, said in schema.items():
            yield keyword, said
            yield from _keywords(said)
    elif isinstance(schema, list):
        for part in schema:
            yield from _keywords(part)


@lru_cache(maxsize=512)
def _expression(pattern: str) -> tuple[Any, Any] | None:
    environment = cel.NewEnv(variables={"text": cel.Type.STRING})
    try:
        expression = environment.compile(f"text.matches({json.dumps(pattern, ensure_ascii=False)})")
        tried = expression.eval(environment.Activation({"text": ""})).value()
    except (RuntimeError, TypeError, ValueError):
        return None
    return (expression, environment) if isinstance(tried, bool) else None


def _matches(pattern: str, text: str) -> bool:
    """A pattern beyond RE2 is left to the tool itself, which knows what it asked for."""
    found = _expression(pattern)
    if found is None:
        return True
    expression, environment = found
    return expression.eval(environment.Activation({"text": text})).value() is not False


def _followed(keyword: str) -> Any:
    def follow(validator: Any, said: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        left = _left.get()
        left[0] -= 1
        if left[0] < 0:
            raise ValueError(f"more than {_MOST_REFERENCES} references are followed for one value")
        yield from _OURS[keyword](validator, said, instance, schema)

    return follow


def _pattern(validator: Any, said: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _matches(said, instance):
        yield ValidationError(f"{instance!r} does not match {said!r}")


def _pattern_properties(
    validator: Any, said: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, inner in said.items():
        for name in instance:
            if _matches(pattern, name):
                yield from validator.descend(instance[name], inner, path=name, schema_path=pattern)


def _additional(
    validator: Any, said: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    patterns, known = schema.get("patternProperties", {}), schema.get("properties", {})
    extras = [
        name
        for name in instance
        if name not in known and not any(_matches(pattern, name) for pattern in patterns)
    ]
    if said is False and extras:
        yield ValidationError(f"{', '.join(map(repr, sorted(extras)))} does not belong here")
    elif validator.is_type(said, "object"):
        for extra in extras:
            yield from validator.descend(instance[extra], said, path=extra)


def _unchecked(*_: Any) -> Iterator[ValidationError]:
    yield from ()


_Bounded = jsonschema.validators.extend(  # type: ignore[no-untyped-call] # its stubs are silent on it
    Draft202012Validator,
    {"pattern": _pattern, "$ref": _followed("$ref"), "$dynamicRef": _followed("$dynamicRef")},
)
_BoundedByNames = jsonschema.validators.extend(  # type: ignore[no-untyped-call] # the same
    _Bounded,
    {
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional,
        "unevaluatedProperties": _unchecked,  # its own search for names knows no RE2
    },
)
