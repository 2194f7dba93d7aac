"""`calc`: arithmetic, read as a syntax tree and bounded, never evaluated as code."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from holdfast.errors import InvalidInput
from holdfast.tools.declare import ToolContext, declared
from schemas.base import Payload, Request
from schemas.tools import EffectClass, Lane, ToolExample

_MOST_DIGITS = 400
_REMEDY = "It takes numbers, + - * / // % **, parentheses and sqrt, log, min, max, round and their like; use `python` for more."
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "round": round,
    "min": min,
    "max": max,
    "sqrt": math.sqrt,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "exp": math.exp,
    "floor": math.floor,
    "ceil": math.ceil,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
}
_NAMES: Mapping[str, float] = {"pi": math.pi, "e": math.e}


class Expression(Request):
    expression: str = Field(
        min_length=1, max_length=500, description="Such as `(3 + 4) * 2 ** 3 / sqrt(16)`."
    )


class Value(Payload):
    value: float | int


@declared(
    "calc",
    effect=EffectClass.READ_ONLY,
    lane=Lane.FAST,
    timeout_s=5,
    examples=(
        ToolExample(
            title="A percentage", arguments={"expression": "37.5 / 50 * 100"}, output={"value": 75.0}
        ),
    ),
)
async def calc(arguments: Expression, context: ToolContext) -> Value:  # noqa: ARG001 - the shape of a tool
    """Calculates an arithmetic expression: + - * / // % **, parentheses, sqrt, log, min, max, round, pi, e."""
    try:
        value = _value(ast.parse(arguments.expression.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, ValueError, ArithmeticError, TypeError) as error:
        raise InvalidInput(
            f"{arguments.expression!r} cannot be calculated: {error}", remedy=_REMEDY
        ) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInput(
            f"{arguments.expression!r} is not a finite number.", remedy="Use smaller numbers, or `python`."
        )
    return Value(value=value)


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left), _value(right)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*[_value(arg) for arg in args]))
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case _:
            raise ValueError(f"{ast.unparse(node)} is not arithmetic")


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > _MOST_DIGITS * 4 or (
        abs(base) > 1 and abs(exponent) * math.log10(abs(base)) > _MOST_DIGITS
    ):
        raise ValueError("the power is too large")
    return base**exponent


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > _MOST_DIGITS * 4:
        raise ValueError("the number is too large")
    return value
