"""Conditions: CEL, compiled once, and true only where it evaluates to true.

The engine hands evaluation errors back as values; here they become `ConditionFailed`, so that nobody takes one for an
answer.
"""

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from holdfast.guardian import source
from holdfast.guardian.source import ConditionProblem
from holdfast.guardian.vocabulary import PARAMETER_TYPES, TYPES
from schemas.policies import ParameterType

__all__ = ["Condition", "ConditionFailed", "ConditionProblem", "bind", "condition"]

_UNDECLARED = re.compile(r"undeclared reference to '([\w.]+)'")
_POSITION = re.compile(r"^(\d+):(\d+): ")

ParameterTypes = tuple[tuple[str, ParameterType], ...]


class ConditionFailed(Exception):
    """A condition could not be evaluated on this action."""


class Condition:
    """One compiled condition. Raises ConditionProblem for text that must not be accepted."""

    def __init__(self, text: str, parameters: ParameterTypes = ()) -> None:
        self.text = text
        self.tokens = source.read(text)
        for pattern in source.regexes(self.tokens):
            _check_literal(pattern)
        environment = _environment(parameters)
        self._expression = _compiled(environment, text)
        self.reads = source.variables(self.tokens) & {*TYPES, *(f"params.{name}" for name, _ in parameters)}

    def holds(self, activation: Any) -> bool:
        """Whether it is true. Raises ConditionFailed where it is neither true nor false."""
        try:
            value = self._expression.eval(activation).value()
        except (RuntimeError, TypeError, ValueError) as error:
            raise ConditionFailed(_first_line(error)) from error
        if value is True or value is False:
            return value
        raise ConditionFailed(_first_line(value))


@lru_cache(maxsize=32_768)
def condition(text: str, parameters: ParameterTypes = ()) -> Condition:
    """Compiled once per process, however many bundles hold it. Raises ConditionProblem."""
    return Condition(text, parameters)


def bind(values: Mapping[str, Any], parameters: ParameterTypes = ()) -> Any:
    """The values of variables, as the engine wants them. Raises ConditionFailed for what it cannot hold."""
    try:
        return _environment(parameters).Activation(values)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise ConditionFailed(_first_line(error)) from error


@lru_cache(maxsize=512)
def _environment(parameters: ParameterTypes) -> Any:
    declared = {f"params.{name}": PARAMETER_TYPES[kind] for name, kind in parameters}
    return cel.NewEnv(variables={**TYPES, **declared})


def _compiled(environment: Any, text: str) -> Any:
    try:
        expression = environment.compile(text)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConditionProblem(_first_line(error) + _meant(str(error))) from error
    if expression.return_type() != cel.Type.BOOL:
        raise ConditionProblem(f"it gives {expression.return_type().name()}; a condition gives true or false")
    return expression


def _meant(error: str) -> str:
    """The variable that a misspelt one is most like."""
    misspelt = _UNDECLARED.search(error)
    like = difflib.get_close_matches(misspelt[1], TYPES, n=1) if misspelt else []
    return f"; did you mean {like[0]}?" if like else ""


def _check_literal(literal: str) -> None:
    if literal.startswith("params."):
        return
    source.bound_regex(literal)
    check_regex(f"''.matches({literal})", {})


def check_regex(probe: str, values: Mapping[str, str]) -> None:
    """The engine compiles regular expressions only when it evaluates: so evaluate, on nothing."""
    environment = cel.NewEnv(variables=dict.fromkeys(values, cel.Type.STRING))
    try:
        value = environment.compile(probe).eval(environment.Activation(values)).value()
    except (RuntimeError, TypeError, ValueError) as error:
        raise ConditionProblem(_first_line(error)) from error
    if not isinstance(value, bool):
        raise ConditionProblem(_first_line(value))


def _first_line(error: object) -> str:
    line = str(error).partition("\n")[0]
    line = (
        line.removeprefix("INVALID_ARGUMENT: ")
        .removeprefix("ERROR: <input>:")
        .replace(" (in container '')", "")
    )
    return _POSITION.sub(r"line \1, column \2: ", line)[:300]
