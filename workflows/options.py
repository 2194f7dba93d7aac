"""Every timeout, retry and queue of a run, by name and in one place."""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.workflow import ActivityCancellationType, ActivityConfig, LocalActivityConfig

from schemas.runs import RunInput, RunStatus

ORCHESTRATION: Final = "orchestration"
LLM: Final = "llm"
TOOLS: Final = "tools"
KNOWLEDGE: Final = "knowledge"

TENANT = SearchAttributeKey.for_keyword("HoldfastTenant")
AGENT = SearchAttributeKey.for_keyword("HoldfastAgent")
ENVIRONMENT = SearchAttributeKey.for_keyword("HoldfastEnvironment")
STATUS = SearchAttributeKey.for_keyword("HoldfastStatus")
SPEND = SearchAttributeKey.for_float("HoldfastSpend")


def search_attributes(start: RunInput) -> TypedSearchAttributes:
    """What a run is found by in Temporal from its first moment on; given with its start, it costs no task of its own."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(TENANT, start.tenant),
            SearchAttributePair(AGENT, start.agent.name),
            SearchAttributePair(ENVIRONMENT, start.environment),
            SearchAttributePair(STATUS, RunStatus.RUNNING.value),
        ]
    )


_FINAL_ERRORS = ["PayloadsTooLarge", "PayloadSizeError"]

# What stands on Postgres alone is retried until Postgres is back: a run waits, it never fails for an outage.
PATIENT = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=15),
    non_retryable_error_types=_FINAL_ERRORS,
)
# A model call that keeps failing is answered by the run: it degrades or asks.
BOUNDED = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=30),
    maximum_attempts=6,
    non_retryable_error_types=_FINAL_ERRORS,
)

LOCAL: LocalActivityConfig = {
    "start_to_close_timeout": timedelta(seconds=20),
    "retry_policy": PATIENT,
    "local_retry_threshold": timedelta(seconds=30),
}
THINK: ActivityConfig = {
    "task_queue": LLM,
    "start_to_close_timeout": timedelta(minutes=10),
    "heartbeat_timeout": timedelta(seconds=15),
    "retry_policy": BOUNDED,
    "cancellation_type": ActivityCancellationType.TRY_CANCEL,
}
REMEMBER: LocalActivityConfig = {
    "start_to_close_timeout": timedelta(seconds=20),
    "local_retry_threshold": timedelta(seconds=30),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=500),
        maximum_attempts=4,
        non_retryable_error_types=_FINAL_ERRORS,
    ),
}

TOOL_HEARTBEAT = timedelta(seconds=6)
TOOL_GRACE = timedelta(seconds=30)
MOMENT = timedelta(milliseconds=1)
"""Between a command and what follows from it; a server that is not tuned makes a second of it."""
HELD_WAIT = timedelta(seconds=15)
FAN_OUT: Final = 32
ROW: Final = 16


def local(summary: str) -> LocalActivityConfig:
    """A local activity that says in the Web UI what it is about."""
    return {**LOCAL, "summary": summary[:200]}


def remember(summary: str) -> LocalActivityConfig:
    return {**REMEMBER, "summary": summary[:200]}


def think(summary: str) -> ActivityConfig:
    return {**THINK, "summary": summary[:200]}


def act_options(timeout_s: float, summary: str) -> ActivityConfig:
    """Tool calls: cancelled means that its sandbox is dead, so the run waits for the worker to say so."""
    return {
        "task_queue": TOOLS,
        "start_to_close_timeout": timedelta(seconds=timeout_s) + TOOL_GRACE,
        "heartbeat_timeout": TOOL_HEARTBEAT,
        "retry_policy": PATIENT,
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        "summary": summary[:200],
    }
