"""How long things are kept."""

from pydantic import Field

from holdfast.runtime.settings.fields import Count, Days, Section


class RetentionSettings(Section):
    """How long what a run leaves behind is kept."""

    events_days: Days = Field(90, description="Events of ended runs.")
    artifacts_days: Days = Field(30, description="Artifacts of ended runs.")
    model_calls_days: Days = Field(
        90,
        description="Calls of models, of ended runs. What was spent is kept apart, for as long as the run.",
    )
    plans_days: Days = Field(7, description="Plans kept for reuse. They are offered for a week at most.")
    summaries_days: Days = Field(30, description="Summaries of outputs too long for a prompt.")
    payloads_days: Days = Field(
        30, description="Large Temporal payloads; longer than Temporal keeps histories."
    )
    memory_days: Days = Field(
        365,
        description="Memory that nobody used is retired then; retired as long again, its words are deleted.",
    )
    snapshots_days: Days = Field(30, description="Snapshots of memory that were taken by the clock.")
    embeddings_days: Days = Field(90, description="Cached embeddings that nobody used.")
    staged_days: Days = Field(7, description="Outcomes of finished ingestion jobs.")
    idempotency_hours: Count = Field(24, description="Answers kept for a repeated `Idempotency-Key`.")
