"""Asking a model about an action that the rules leave unclear. It is never waited for long: people are, then."""

import asyncio
from datetime import timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.judge_action import OpinionActivities
from holdfast.plan.words import describe
from schemas.stages import JudgeRequest, OpinionRequest
from schemas.verdicts import Settler
from workflows.options import LLM

_PATIENCE: Final[dict[Settler, timedelta]] = {"model": timedelta(seconds=20), "panel": timedelta(seconds=60)}


async def ask_for_opinion(request: JudgeRequest, who: Settler) -> float:
    """What the asking cost comes back. The answer is in the store, or there is none, and the next verdict says so."""
    try:
        opinion = await workflow.execute_activity_method(
            OpinionActivities.judge_action,
            OpinionRequest(request=request, who=who),
            task_queue=LLM,
            schedule_to_close_timeout=_PATIENCE[who],
            heartbeat_timeout=timedelta(seconds=15),
            retry_policy=RetryPolicy(maximum_attempts=2),
            summary=f"a second opinion: {describe(request.action)}"[:200],
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise asyncio.CancelledError from error
        return 0.0
    return opinion.cost_usd
