"""`text.jq`: the everyday part of jq, in process: every step and every value counts against a budget."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from holdfast.errors import InvalidInput, TooLarge
from holdfast.tools.builtin.text.jq import Budget, BudgetSpent, CannotBeRead, Wrong, compiled
from holdfast.tools.declare import ToolContext, declared
from schemas.base import JsonObject, Payload, Request
from schemas.tools import EffectClass, Lane, ToolExample

_MOST_RESULTS = 1_000
_STEPS = 300_000


class Query(Request):
    filter: str = Field(
        min_length=1, max_length=1000, description="Such as `.items[] | select(.ok) | .name`."
    )
    data: JsonObject | list[Any] | None = Field(default=None, description="The value to work on.")
    text: str | None = Field(default=None, max_length=2_000_000, description="Or the same as JSON text.")


class Results(Payload):
    results: Sequence[Any]

    def told(self) -> str:
        first = json.dumps(self.results[0], ensure_ascii=False)[:200] if self.results else ""
        return f"{len(self.results)} results: {first}"


@declared(
    "text.jq",
    effect=EffectClass.READ_ONLY,
    lane=Lane.FAST,
    timeout_s=10,
    outside=True,
    examples=(
        ToolExample(
            title="Names of what failed",
            arguments={
                "filter": '.units[] | select(.state == "failed") | .name',
                "data": {"units": [{"name": "a", "state": "failed"}, {"name": "b", "state": "ok"}]},
            },
            output={"results": ["a"]},
        ),
    ),
)
async def query(arguments: Query, context: ToolContext) -> Results:  # noqa: ARG001 - the shape of a tool
    """Takes JSON apart with a jq filter: paths, select, map, sort_by, group_by, arithmetic, objects and arrays."""
    value = arguments.data if arguments.text is None else _read(arguments.text)
    results: list[Any] = []
    try:
        for result in compiled(arguments.filter)(value, Budget(_STEPS)):
            results.append(result)
            if len(results) > _MOST_RESULTS:
                raise TooLarge(
                    f"There are more than {_MOST_RESULTS} results.", remedy="Use `first` or `[:100]`."
                )
    except CannotBeRead as error:
        raise InvalidInput(
            f"The filter cannot be read: {error}", remedy="Write it as jq does; `python` does more."
        ) from error
    except (Wrong, TypeError, ValueError, ArithmeticError) as error:
        raise InvalidInput(
            f"The filter does not fit the data: {error}",
            remedy="`type` and `keys` show what is there; `?` passes over what does not fit.",
        ) from error
    except (BudgetSpent, RecursionError) as error:
        raise TooLarge("The filter needs more work than one call may do.", remedy="Use `python`.") from error
    return Results(results=results)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"The text is no JSON: {str(error)[:200]}",
            remedy="Give one JSON value; `text.grep` takes plain text.",
        ) from error
