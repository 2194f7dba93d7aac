"""Schedules: runs that start by the clock. Temporal keeps them; this is how one is asked for and told."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator

from schemas.access import Principal
from schemas.base import Name, Payload, Request, RunId
from schemas.runs import RunRequest

LONGEST_BACKFILL = timedelta(days=31)


def _in_our_time(moment: datetime) -> datetime:
    if not 2000 <= moment.year <= 2200:
        raise ValueError("the year must lie between 2000 and 2200")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_in_our_time)]
"""A time with an offset, in years that every clock on the way can hold."""


class Overlap(StrEnum):
    """What happens when it is time, and the run before has not ended. There is no way to kill that one: a run that is
    cancelled ends when its sandboxes are dead."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    ALLOW_ALL = "allow_all"


class Times(Payload):
    """When. Cron lines and an interval add up."""

    cron: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = Field(
        default=(), max_length=20, examples=[["0 3 * * 1-5"]]
    )
    every_s: int | None = Field(default=None, ge=1, le=86_400 * 366)
    offset_s: int = Field(default=0, ge=0, le=86_400 * 366, description="Moves the interval within its day.")
    time_zone: str = Field(
        default="UTC", min_length=1, max_length=64, description="An IANA name; cron lines are read in it."
    )
    jitter_s: int = Field(default=0, ge=0, le=86_400, description="Start up to so much later, by chance.")
    start_at: Moment | None = None
    end_at: Moment | None = None


class ScheduleDraft(Times, Request):
    """The body of POST /v1/schedules."""

    name: Name
    run: RunRequest
    overlap: Overlap = Overlap.SKIP
    catchup_s: int = Field(
        default=3600,
        ge=10,
        le=86_400 * 366,
        description="After an outage, what was due this recently is still started.",
    )
    paused: bool = False
    note: str = Field(default="", max_length=500)

    @model_validator(mode="after")
    def _has_a_time(self) -> Self:
        if not self.cron and self.every_s is None:
            raise ValueError("say when: cron, every_s, or both")
        if self.every_s is not None and self.offset_s >= self.every_s and self.offset_s:
            raise ValueError("offset_s must be less than every_s")
        return self


class ScheduledRequest(Payload):
    """The argument of the workflow that a schedule starts: what to run, and as whom."""

    draft: ScheduleDraft
    principal: Principal = Field(description="Its author; the runs are theirs.")


class Firing(Payload):
    """One time that it started a run."""

    due_at: datetime
    started_at: datetime
    run_id: RunId


class Schedule(Times):
    """A schedule as the API tells it."""

    name: Name
    run: RunRequest
    overlap: Overlap
    catchup_s: int
    paused: bool
    note: str = ""
    created_by: str = ""
    next: tuple[datetime, ...] = Field(default=(), description="When it is due next.")
    recent: tuple[Firing, ...] = Field(default=(), description="What it started last, oldest first.")
    started: int = Field(default=0, description="Runs started so far; not known in lists.")
    missed: int = Field(default=0, description="Times that an outage outlasted.")
    skipped: int = Field(default=0, description="Times that fell to the overlap policy.")


class ScheduleNote(Request):
    """Why it is paused or goes on."""

    note: str = Field(default="", max_length=500)


class TriggerRequest(Request):
    """A run right now, whatever the clock says."""

    overlap: Overlap | None = Field(default=None, description="The schedule's own, if not said.")


class BackfillRequest(Request):
    """Start what would have been due between two times."""

    start_at: Moment
    end_at: Moment
    overlap: Overlap = Overlap.BUFFER_ALL

    @model_validator(mode="after")
    def _is_a_while(self) -> Self:
        if not self.start_at < self.end_at <= self.start_at + LONGEST_BACKFILL:
            raise ValueError(f"end_at must lie within {LONGEST_BACKFILL.days} days after start_at")
        return self
