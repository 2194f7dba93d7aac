"""The blanks of a template and what fills them: typed, complete, and nothing besides."""

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.guardian.source import ConditionProblem, bound_regex
from schemas.policies import Parameter, ParameterType, PolicyDocument

_LONGEST_LIST = 1000
_LONGEST_TEXT = 2000


def filled(document: PolicyDocument) -> dict[str, Any]:
    """A value for every parameter. Raises ConditionProblem for what is missing, unknown or of another type."""
    unknown = sorted(set(document.params) - set(document.parameters))
    if unknown:
        known = ", ".join(sorted(document.parameters)) or "none"
        raise ConditionProblem(f"there is no parameter {unknown[0]}; there are: {known}")
    return {name: _value(name, parameter, document.params) for name, parameter in document.parameters.items()}


def types_of(parameters: Mapping[str, Parameter]) -> tuple[tuple[str, ParameterType], ...]:
    return tuple(sorted((name, parameter.type) for name, parameter in parameters.items()))


def _value(name: str, parameter: Parameter, given: Mapping[str, Any]) -> Any:
    value = given.get(name, parameter.default)
    if value is None:
        raise ConditionProblem(f"the parameter {name} has no value and no default")
    if not _FITS[parameter.type](value):
        raise ConditionProblem(f"the parameter {name} is to be {_SAID[parameter.type]}")
    if parameter.type is ParameterType.NUMBER:
        return float(value)
    return list(value) if parameter.type is ParameterType.STRINGS else value


def check_pattern(name: str, value: Any) -> None:
    """A parameter that is used as a regular expression."""
    if not isinstance(value, str):
        raise ConditionProblem(
            f"the parameter {name} is used as a regular expression, so it has to be a text"
        )
    bound_regex(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT


def _is_texts(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) <= _LONGEST_LIST
        and all(_is_text(each) for each in value)
    )


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or _is_int(value)


_FITS: dict[ParameterType, Callable[[Any], bool]] = {
    ParameterType.STRING: _is_text,
    ParameterType.STRINGS: _is_texts,
    ParameterType.INT: _is_int,
    ParameterType.NUMBER: _is_number,
    ParameterType.BOOL: lambda value: isinstance(value, bool),
}
_SAID = {
    ParameterType.STRING: "a text of at most 2000 characters",
    ParameterType.STRINGS: "a list of at most 1000 texts",
    ParameterType.INT: "a whole number of 64 bits",
    ParameterType.NUMBER: "a number",
    ParameterType.BOOL: "true or false",
}
