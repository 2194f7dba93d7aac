"""Small workflows that pass large values, fail in every way, wait, log and trace."""

import asyncio
from datetime import timedelta
from typing import NoReturn

import structlog
from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from holdfast.errors import Conflict, Forbidden, LimitReached, Unavailable
from holdfast.runtime.failures import TOO_LARGE, cause_of
from schemas.base import Payload
from schemas.stages import RunScope
from schemas.tools import ToolError

SOON = timedelta(seconds=20)
ONCE = RetryPolicy(maximum_attempts=1)
log = structlog.get_logger()


class Letter(Payload):
    text: str
    scope: RunScope | None = None
    step_id: str | None = None


@activity.defn
async def double(letter: Letter) -> Letter:
    log.info("letter_doubled", length=len(letter.text))
    return letter.model_copy(update={"text": letter.text * 2})


@activity.defn
async def fail(kind: str) -> None:
    if kind == "forbidden":
        raise Forbidden("The key may not do this.", remedy="Ask for the role operator.", key_id="key_1")
    if kind == "leaky":
        try:
            raise ValueError("header: sk-very-secret")  # noqa: TRY301 -- a library would
        except ValueError as error:
            raise Forbidden("No.") from error
    if kind == "busy" and activity.info().attempt == 1:
        raise LimitReached("Too many calls.", retry_after_s=0.05)
    if kind == "hang":
        await asyncio.sleep(60)


@workflow.defn
class Echo:
    """Doubles a letter in an activity, and says how it looked from inside."""

    @workflow.run
    async def run(self, letter: Letter) -> Letter:
        doubled = await workflow.execute_activity(
            double, letter, start_to_close_timeout=SOON, retry_policy=ONCE
        )
        return doubled.model_copy(update={"step_id": str(len(doubled.text))})


@workflow.defn
class Causes:
    """What a workflow reads of a failed activity."""

    @workflow.run
    async def run(self, kind: str) -> ToolError | None:
        try:
            await workflow.execute_activity(
                fail,
                kind,
                start_to_close_timeout=timedelta(seconds=1 if kind == "hang" else 20),
                retry_policy=RetryPolicy(
                    maximum_attempts=1 if kind == "hang" else 3,
                    initial_interval=timedelta(seconds=30),
                    non_retryable_error_types=[TOO_LARGE],
                ),
            )
        except Exception as error:  # noqa: BLE001 -- whatever it is, it must be readable
            return cause_of(error)
        return None


@workflow.defn
class Breaks:
    @workflow.run
    async def run(self, how: str) -> None:
        if how == "bug":
            empty: dict[str, str] = {}
            _ = empty["not there"]
        if how == "domain":
            raise Conflict("The run has ended.", remedy="Start another.", run_id=workflow.info().workflow_id)
        raise Unavailable("Never mind.")


@workflow.defn
class Waits:
    """Works, waits for a human for as long as it takes, works again."""

    def __init__(self) -> None:
        self._answer: str | None = None

    @workflow.run
    async def run(self, letter: Letter) -> str:
        log.info("wait_started")
        await workflow.execute_activity(double, letter, start_to_close_timeout=SOON, retry_policy=ONCE)
        await workflow.wait_condition(lambda: self._answer is not None)
        await workflow.execute_local_activity(double, letter, start_to_close_timeout=SOON, retry_policy=ONCE)
        return self._answer or ""

    @workflow.update
    async def answer(self, text: str) -> str:
        log.info("answer_taken")
        self._answer = text
        return text

    @answer.validator
    def check(self, text: str) -> None:
        if text == "no":
            refuse()


def refuse() -> NoReturn:
    raise Conflict("That is not an answer.", remedy="Say yes.")


@workflow.defn(name="Waits")
class WaitsChanged:
    """What a careless deploy would make of `Waits`: another first command."""

    @workflow.run
    async def run(self, _letter: Letter) -> str:
        await workflow.sleep(1)
        return ""
