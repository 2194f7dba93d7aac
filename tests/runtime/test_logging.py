import io
import json
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from holdfast.runtime.logging import set_up_logging
from holdfast.runtime.redaction import REDACTED, redact


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Logs as JSON into a string, and everything as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    out = io.StringIO()
    set_up_logging(service="test", stream=out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


Lines = Callable[[], list[dict[str, Any]]]


def test_a_line_is_json_with_time_level_service_and_what_is_bound(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(run_id="run_1"):
        structlog.get_logger("holdfast.api").info("run_accepted", tenant="acme")
    [line] = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "run_accepted",
        "level": "info",
        "logger": "holdfast.api",
        "run_id": "run_1",
        "service": "test",
        "tenant": "acme",
    }


def test_a_librarys_line_goes_the_same_way(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(run_id="run_1"):
        logging.getLogger("some.library").warning("pool of %s is full", "psycopg", extra={"size": 10})
        logging.getLogger("httpx").info("GET https://user:pass@example.org")
    [line] = lines()
    assert (line["event"], line["size"], line["run_id"]) == ("pool of psycopg is full", 10, "run_1")


def test_why_temporals_core_failed_a_task_is_told(lines: Lines) -> None:
    told = SimpleNamespace(fields={"failure": "nondeterminism: no such command", "run_id": "of Temporal"})
    logging.getLogger("temporalio.core").warning("Failing workflow task", extra={"temporal_log": told})
    [line] = lines()
    assert (line["failure"], "temporal_log" in line) == ("nondeterminism: no such command", False)


def test_a_traceback_is_told_without_the_values_of_variables(lines: Lines) -> None:
    prompt = "what the user wrote"
    try:
        raise ValueError(len(prompt))  # noqa: TRY301 -- the frame must hold the prompt
    except ValueError:
        structlog.get_logger().exception("it_failed")
    [line] = lines()
    assert "Traceback" in line["exception"]
    assert prompt not in line["exception"].replace('prompt = "what the user wrote"', "")


def test_less_than_the_level_is_not_written(lines: Lines) -> None:
    structlog.get_logger().debug("unheard")
    assert lines() == []


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "api_key",
        "API-Key",
        "token",
        "refresh_token",
        "Authorization",
        "client_secret",
        "database.dsn",
    ],
)
def test_a_key_that_names_a_secret_loses_its_value(key: str) -> None:
    assert redact({key: "hunter2", "nested": [{key: "hunter2"}]}) == {
        key: REDACTED,
        "nested": [{key: REDACTED}],
    }


@pytest.mark.parametrize(
    "key", ["input_tokens", "token_budget", "idempotency_key", "key_id", "author", "secretary"]
)
def test_a_key_that_only_sounds_like_one_keeps_it(key: str) -> None:
    assert redact({key: "12"}) == {key: "12"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("connect to postgresql://app:hunter2@db:5432/x", "connect to postgresql://app:[redacted]@db:5432/x"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer [redacted]"),
        ("Incorrect API key provided: sk-proj-abcdefghijkl", "Incorrect API key provided: sk-[redacted]"),
        ("task-based-approach-to-things", "task-based-approach-to-things"),
        ("http://127.0.0.1:8080/v1/runs", "http://127.0.0.1:8080/v1/runs"),
    ],
)
def test_a_value_loses_the_secret_in_it(text: str, kept: str) -> None:
    assert redact({"event": text, "list": [text]}) == {"event": kept, "list": [kept]}


def test_what_is_too_deep_to_look_into_is_left_out() -> None:
    deep: dict[str, Any] = {"password": "hunter2"}
    for _ in range(10):
        deep = {"in": deep}
    assert "hunter2" not in str(redact(deep))
