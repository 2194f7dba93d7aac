"""What a filter is made of: paths, pipes, constructions, arithmetic; each from smaller filters to a larger one."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from holdfast.tools.builtin.text.jq_functions import Budget, Filter, Wrong, ordered


def identity(value: Any, budget: Budget) -> Iterator[Any]:
    budget.spend()
    yield value


def no_items(value: Any, budget: Budget) -> Iterator[Any]:  # noqa: ARG001 - the shape of a filter
    budget.spend()
    yield []


def constant(constant: Any) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:  # noqa: ARG001 - the shape of a filter
        budget.spend()
        yield constant

    return run


def piped(first: Filter, then: Filter) -> Filter:
    return lambda value, budget: (result for inner in first(value, budget) for result in then(inner, budget))


def both(one: Filter, other: Filter) -> Filter:
    return lambda value, budget: itertools.chain(one(value, budget), other(value, budget))


def tried(inner: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        try:
            yield from inner(value, budget)
        except Wrong:
            return

    return run


def or_else(one: Filter, other: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        found = [result for result in tried(one)(value, budget) if result is not None and result is not False]
        yield from found or other(value, budget)

    return run


def logical(word: str, one: Filter, other: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        for left in one(value, budget):
            if _true(left) is (word == "or"):
                yield word == "or"
            else:
                yield from (_true(right) for right in other(value, budget))

    return run


def binary(operation: Callable[[Any, Any, Budget], Any], one: Filter, other: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        for right in other(value, budget):
            for left in one(value, budget):
                budget.spend()
                yield operation(left, right, budget)

    return run


def indexed(inner: Filter, key: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        for container in inner(value, budget):
            for at in key(value, budget):
                budget.spend()
                yield _item(container, at)

    return run


def _item(container: Any, at: Any) -> Any:
    match container, at:
        case None, _:
            return None
        case dict(), str():
            return container.get(at)
        case list(), int() if not isinstance(at, bool):
            return container[at] if -len(container) <= at < len(container) else None
        case _:
            raise Wrong(f"{_kind_of(container)} has no {at!r}")


def sliced(inner: Filter, start: Filter, end: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        for container in inner(value, budget):
            if not isinstance(container, list | str | None):
                raise Wrong(f"{_kind_of(container)} cannot be cut")
            for first in start(value, budget):
                for last in end(value, budget):
                    yield None if container is None else container[first:last]

    return run


def each(inner: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        for container in inner(value, budget):
            if not isinstance(container, list | dict):
                raise Wrong(f"{_kind_of(container)} has no elements")
            for element in container if isinstance(container, list) else container.values():
                budget.spend()
                yield element

    return run


def collected(inner: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        found = list(inner(value, budget))
        budget.weigh(found)
        yield found

    return run


def built(pairs: list[tuple[Filter, Filter]]) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        made: list[dict[str, Any]] = [{}]
        for key, inner in pairs:
            made = [
                {**before, _field(name): result}
                for before in made
                for name in key(value, budget)
                for result in inner(value, budget)
            ]
            budget.weigh(made)
        yield from made

    return run


def _field(name: Any) -> str:
    if not isinstance(name, str):
        raise Wrong(f"{name!r} is no name of a field")
    return name


def _true(value: Any) -> bool:
    return value is not None and value is not False


def _kind_of(value: Any) -> str:
    kinds = (
        (bool, "a boolean"),
        (dict, "an object"),
        (list, "an array"),
        (str, "a text"),
        (type(None), "null"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "a number")


def minus(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, list) and isinstance(right, list):
        budget.spend(len(left) * max(1, len(right)))
        return [item for item in left if item not in right]
    return _numeric(left, right, lambda: left - right)


def _numeric(left: Any, right: Any, result: Callable[[], Any]) -> Any:
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong(f"{_kind_of(value)} cannot be calculated with")
        if isinstance(value, int) and value.bit_length() > 512:
            raise Wrong("the number is too large")
    return result()


PRODUCTS: Mapping[str, Callable[[Any, Any, Budget], Any]] = {
    "*": lambda left, right, _: _numeric(left, right, lambda: left * right),
    "/": lambda left, right, _: _numeric(left, right, lambda: left / right),
    "%": lambda left, right, _: _numeric(left, right, lambda: left % right),
}
COMPARISONS: Mapping[str, Callable[[Any, Any, Budget], Any]] = {
    "==": lambda left, right, _: ordered(left) == ordered(right),
    "!=": lambda left, right, _: ordered(left) != ordered(right),
    "<": lambda left, right, _: ordered(left) < ordered(right),
    "<=": lambda left, right, _: ordered(left) <= ordered(right),
    ">": lambda left, right, _: ordered(left) > ordered(right),
    ">=": lambda left, right, _: ordered(left) >= ordered(right),
}
