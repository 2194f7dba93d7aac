"""`text.grep` and `text.jq`: what they find, and that no pattern or filter costs more than it may."""

import time
from typing import Any

import pytest

from holdfast.tools.builtin.text import TEXT_TOOLS
from tests.tools.conftest import Caller, code_of

DATA: dict[str, Any] = {
    "units": [
        {"name": "b", "state": "ok", "mb": 20},
        {"name": "a", "state": "failed", "mb": 5, "tags": ["x", "y"]},
        {"name": "c", "state": "failed", "mb": 7.5},
    ],
    "host": "db-1",
}


@pytest.fixture
def call() -> Caller:
    return Caller(*TEXT_TOOLS)


async def test_lines_are_found_by_expression_and_by_text(call: Caller) -> None:
    text = "ok 1\nERROR a.b\nerror axb\n"
    found = await call("text.grep", text=text, pattern="error", ignore_case=True)
    assert [match["line"] for match in found.output["matches"]] == [2, 3]
    fixed = await call("text.grep", text=text, pattern="a.b", fixed=True)
    assert fixed.output == {"matches": [{"line": 2, "text": "ERROR a.b"}], "count": 1}
    assert (await call("text.grep", text=text, pattern="(?i)error", invert=True)).output["count"] == 1
    assert fixed.untrusted


async def test_a_pattern_that_would_backtrack_for_ever_takes_no_time(call: Caller) -> None:
    started = time.monotonic()
    found = await call("text.grep", text=("a" * 5000 + "!\n") * 20, pattern="(a+)+$")
    assert (found.output["count"], time.monotonic() - started < 2) == (0, True)


@pytest.mark.parametrize("pattern", ["(", "a{1001}", "\\1", '"', "(?=x)"])
async def test_a_pattern_that_is_none_is_refused_with_a_word(call: Caller, pattern: str) -> None:
    result = await call("text.grep", text="x", pattern=pattern)
    assert code_of(result) == ("" if pattern == '"' else "invalid_input")


async def test_a_text_of_too_many_lines_is_sent_to_the_files(call: Caller) -> None:
    result = await call("text.grep", text="\n" * 20_000, pattern="x")
    assert code_of(result) == "too_large"


@pytest.mark.parametrize(
    ("filter", "results"),
    [
        (".", [DATA]),
        (".host", ["db-1"]),
        ('."host"', ["db-1"]),
        (".missing.deeper", [None]),
        (".units[0].name, .units[-1].name", ["b", "c"]),
        ('.units[] | select(.state == "failed") | .name', ["a", "c"]),
        ("[.units[].mb] | add", [32.5]),
        (".units | map(.mb) | max, min, length", [20, 5, 3]),
        (".units | sort_by(.name) | map(.name)", [["a", "b", "c"]]),
        (
            ".units | group_by(.state) | map({state: .[0].state, n: length})",
            [[{"state": "failed", "n": 2}, {"state": "ok", "n": 1}]],
        ),
        (".units[] | {name, big: (.mb > 6 and .mb < 10)} | select(.big) | .name", ["c"]),
        (".units[1].tags[]?, .units[0].tags[]?", ["x", "y"]),
        ('.units[0].tags // "none"', ["none"]),
        (".units[1:] | length", [2]),
        ('.units[1].tags | join("-")', ["x-y"]),
        ('.host | split("-") | .[1] | tonumber + 1', [2]),
        ("to_entries | map(.key)", [["units", "host"]]),
        ('.host | startswith("db") | not', [False]),
        ("{(.host): 1}", [{"db-1": 1}]),
        ("[.units[] | .mb * 2 - 1 | . % 7] | sort", [[0.0, 2, 4]]),
        ("[1, 2 | . + 10]", [[11, 12]]),
        ("empty", []),
        (".units | unique_by(.state) | length", [2]),
        ('has("host"), (.units | contains([{"name": "a"}]))', [True, True]),
    ],
)
async def test_filters_mean_what_jq_means(call: Caller, filter: str, results: list[Any]) -> None:  # noqa: A002
    result = await call("text.jq", filter=filter, data=DATA)
    assert result.ok, result.error
    assert result.output["results"] == results


@pytest.mark.parametrize(
    ("filter", "code"),
    [
        ("|", "invalid_input"),
        (".units[", "invalid_input"),
        ("nonsense(1)", "invalid_input"),
        ("env.SECRET", "invalid_input"),
        ("input, $__loc__", "invalid_input"),
        (".host.name", "invalid_input"),
        (".host[]", "invalid_input"),
        (".host - 1", "invalid_input"),
        ("1 / 0", "invalid_input"),
        ("(" * 500, "invalid_input"),
        ("|".join(["[.,.]"] * 60), "too_large"),
        (".host | " + "|".join([". + ."] * 60), "too_large"),
        (
            "|".join(["{a: (1,2,3,4,5,6,7,8,9), b: (1,2,3,4,5,6,7,8,9), c: (1,2,3,4,5,6,7,8,9)}"] * 8),
            "too_large",
        ),
        (".units[]" + " | (., .)" * 12, "too_large"),
        ("[.units[] | .mb * 1e300 * 1e300] | length", ""),
    ],
)
async def test_a_filter_that_goes_wrong_or_too_far_says_so_soon(call: Caller, filter: str, code: str) -> None:  # noqa: A002
    started = time.monotonic()
    assert code_of(await call("text.jq", filter=filter, data=DATA)) == code
    assert time.monotonic() - started < 3


async def test_text_is_read_as_json_or_refused(call: Caller) -> None:
    assert (await call("text.jq", filter=".a", text='{"a": 1}')).output == {"results": [1]}
    assert code_of(await call("text.jq", filter=".", text="{")) == "invalid_input"
    assert code_of(await call("text.jq", filter=".", text="[" * 100_000)) == "invalid_input"
