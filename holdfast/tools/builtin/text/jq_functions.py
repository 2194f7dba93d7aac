"""The functions a filter may name, and the budget that every step of it spends."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Filter = Callable[[Any, "Budget"], Iterator[Any]]


class Wrong(Exception):
    """The filter and the value do not go together."""


class BudgetSpent(Exception):
    """The filter has done as much work as it may."""


class Budget:
    """Steps and sizes together: a value that is built costs what it holds, so that doubling it cannot go on for long."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def spend(self, amount: int = 1) -> None:
        self._left -= amount
        if self._left < 0:
            raise BudgetSpent

    def weigh(self, value: Any) -> None:
        waiting = [value]
        while waiting:
            item = waiting.pop()
            self.spend(1 + (len(item) // 64 if isinstance(item, str) else 0))
            if isinstance(item, dict):
                waiting.extend(item.values())
            elif isinstance(item, list):
                waiting.extend(item)


def ordered(value: Any) -> Any:
    """jq's order over all values: null, false, true, numbers, texts, arrays, objects."""
    match value:
        case None:
            return (0,)
        case bool():
            return (1, value)
        case int() | float():
            return (2, value)
        case str():
            return (3, value)
        case list():
            return (4, [ordered(item) for item in value])
        case dict():
            return (5, sorted(value), [ordered(value[key]) for key in sorted(value)])
        case _:
            raise Wrong(f"{type(value).__name__} is no JSON")


def plus(left: Any, right: Any, budget: Budget) -> Any:
    match left, right:
        case None, _:
            return right
        case _, None:
            return left
        case (str(), str()) | (list(), list()):
            return _weighed(left + right, budget)
        case dict(), dict():
            return _weighed({**left, **right}, budget)
        case (bool(), _) | (_, bool()):
            raise Wrong("a boolean cannot be added")
        case int() | float(), int() | float():
            return left + right
        case _:
            raise Wrong("only values of one kind can be added")


def _weighed(value: Any, budget: Budget) -> Any:
    budget.weigh(value)
    return value


def _plain(function: Callable[[Any, Budget], Any]) -> Callable[..., Filter]:
    """A function of the value alone."""

    def make() -> Filter:
        def run(value: Any, budget: Budget) -> Iterator[Any]:
            budget.spend()
            yield function(value, budget)

        return run

    return make


def _keyed(function: Callable[[list[Any], Callable[[Any], Any], Budget], Any]) -> Callable[..., Filter]:
    """A function of an array and of what a filter says of each element."""

    def make(inner: Filter) -> Filter:
        def run(value: Any, budget: Budget) -> Iterator[Any]:
            items = _array(value)
            yield function(items, lambda item: ordered(list(inner(item, budget))), budget)

        return run

    return make


def _of_text(function: Callable[[Any, Any], Any]) -> Callable[..., Filter]:
    """A function of the value and of one argument."""

    def make(inner: Filter) -> Filter:
        def run(value: Any, budget: Budget) -> Iterator[Any]:
            for given in inner(value, budget):
                budget.spend()
                yield function(value, given)

        return run

    return make


def _select(inner: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        for found in inner(value, budget):
            if found is not None and found is not False:
                yield value

    return run


def _map(inner: Filter) -> Filter:
    def run(value: Any, budget: Budget) -> Iterator[Any]:
        found = [result for item in _array(value) for result in inner(item, budget)]
        yield _weighed(found, budget)

    return run


def _first(inner: Filter) -> Filter:
    return lambda value, budget: itertools.islice(inner(value, budget), 1)


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Wrong("an array is wanted here")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong("a text is wanted here")
    return value


def _length(value: Any, budget: Budget) -> Any:  # noqa: ARG001 - the shape of a plain function
    if value is None:
        return 0
    if isinstance(value, bool):
        raise Wrong("a boolean has no length")
    return abs(value) if isinstance(value, int | float) else len(value)


def _keys(value: Any, budget: Budget) -> Any:  # noqa: ARG001
    if isinstance(value, dict):
        return sorted(value)
    return list(range(len(_array(value))))


def _add(value: Any, budget: Budget) -> Any:
    total: Any = None
    for item in value.values() if isinstance(value, dict) else _array(value):
        total = plus(total, item, budget)
    return total


def _to_number(value: Any, budget: Budget) -> Any:  # noqa: ARG001
    if isinstance(value, str) and len(value) <= 40:
        try:
            found = json.loads(value)
        except ValueError as error:
            raise Wrong(f"{value!r} is no number") from error
        return found if isinstance(found, int | float) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise Wrong("this is no number")


def _to_string(value: Any, budget: Budget) -> str:
    budget.weigh(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _grouped(items: list[Any], key: Callable[[Any], Any], budget: Budget) -> Any:
    groups = itertools.groupby(sorted(items, key=key), key=key)
    return _weighed([list(group) for _, group in groups], budget)


def _unique(items: list[Any], key: Callable[[Any], Any], budget: Budget) -> Any:
    return [group[0] for group in _grouped(items, key, budget)]


def _type(value: Any, budget: Budget) -> str:  # noqa: ARG001
    names = {bool: "boolean", dict: "object", list: "array", str: "string", type(None): "null"}
    return names.get(type(value), "number")


def _entries(value: Any, budget: Budget) -> Any:
    if not isinstance(value, dict):
        raise Wrong("an object is wanted here")
    return _weighed([{"key": key, "value": item} for key, item in value.items()], budget)


def _from_entries(value: Any, budget: Budget) -> Any:
    return _weighed({str(item["key"]): item.get("value") for item in _array(value)}, budget)


def _flat(value: Any, budget: Budget) -> list[Any]:
    found: list[Any] = []
    for item in _array(value):
        found += _flat(item, budget) if isinstance(item, list) else [item]
    return _weighed_list(found, budget)


def _weighed_list(found: list[Any], budget: Budget) -> list[Any]:
    budget.weigh(found)
    return found


def _contains(value: Any, given: Any) -> bool:
    if isinstance(value, dict) and isinstance(given, dict):
        return all(key in value and _contains(value[key], item) for key, item in given.items())
    if isinstance(value, list) and isinstance(given, list):
        return all(any(_contains(mine, item) for mine in value) for item in given)
    if isinstance(value, str) and isinstance(given, str):
        return given in value
    return bool(value == given)


def _has(value: Any, given: Any) -> bool:
    return given in value if isinstance(value, dict) else 0 <= given < len(_array(value))


def _itself(item: Any) -> Any:
    return ordered(item)


FUNCTIONS: Mapping[tuple[str, int], Callable[..., Filter]] = {
    ("empty", 0): lambda: lambda _value, _budget: iter(()),
    ("select", 1): _select,
    ("map", 1): _map,
    ("first", 1): _first,
    ("length", 0): _plain(_length),
    ("keys", 0): _plain(_keys),
    ("add", 0): _plain(_add),
    ("type", 0): _plain(_type),
    ("not", 0): _plain(lambda value, _: value is None or value is False),
    ("first", 0): _plain(lambda value, _: _array(value)[0] if value else None),
    ("last", 0): _plain(lambda value, _: _array(value)[-1] if value else None),
    ("reverse", 0): _plain(lambda value, _: value[::-1] if isinstance(value, str) else _array(value)[::-1]),
    ("sort", 0): _plain(lambda value, _: sorted(_array(value), key=ordered)),
    ("unique", 0): _plain(lambda value, budget: _unique(_array(value), _itself, budget)),
    ("min", 0): _plain(lambda value, _: min(_array(value), key=ordered, default=None)),
    ("max", 0): _plain(lambda value, _: max(_array(value), key=ordered, default=None)),
    ("any", 0): _plain(lambda value, _: any(item not in (None, False) for item in _array(value))),
    ("all", 0): _plain(lambda value, _: all(item not in (None, False) for item in _array(value))),
    ("flatten", 0): _plain(_flat),
    ("to_entries", 0): _plain(_entries),
    ("from_entries", 0): _plain(_from_entries),
    ("tonumber", 0): _plain(_to_number),
    ("tostring", 0): _plain(_to_string),
    ("fromjson", 0): _plain(lambda value, _: json.loads(_text(value))),
    ("ascii_downcase", 0): _plain(lambda value, _: _text(value).lower()),
    ("ascii_upcase", 0): _plain(lambda value, _: _text(value).upper()),
    ("sort_by", 1): _keyed(lambda items, key, _: sorted(items, key=key)),
    ("group_by", 1): _keyed(_grouped),
    ("unique_by", 1): _keyed(_unique),
    ("min_by", 1): _keyed(lambda items, key, _: min(items, key=key, default=None)),
    ("max_by", 1): _keyed(lambda items, key, _: max(items, key=key, default=None)),
    ("has", 1): _of_text(_has),
    ("contains", 1): _of_text(_contains),
    ("startswith", 1): _of_text(lambda value, given: _text(value).startswith(_text(given))),
    ("endswith", 1): _of_text(lambda value, given: _text(value).endswith(_text(given))),
    ("split", 1): _of_text(lambda value, given: _text(value).split(_text(given))),
    ("join", 1): _of_text(lambda value, given: _text(given).join(str(item) for item in _array(value))),
}
