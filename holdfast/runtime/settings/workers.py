"""The task queues, and how much each worker does at once."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from holdfast.runtime.settings.fields import Count, Port, Seconds, Section


class Queue(StrEnum):
    """The task queues, one worker pool each."""

    ORCHESTRATION = "orchestration"
    LLM = "llm"
    TOOLS = "tools"
    KNOWLEDGE = "knowledge"


class WorkerSettings(Section):
    """How much each worker process does at once."""

    orchestration_slots: Count = Field(100, description="Workflow tasks and local activities at once.")
    llm_slots: Count = Field(32, description="Model calls at once.")
    tools_slots: Count = Field(8, description="Sandboxed tool calls at once.")
    knowledge_slots: Count = Field(8, description="Recall, ingestion and learning at once.")
    cached_runs: Annotated[int, Field(ge=0)] = Field(
        500,
        description="Runs an orchestration worker keeps in memory; others are replayed from their history.",
    )
    drain_s: Seconds = Field(30, description="Seconds a stopping worker gives its activities.")
    metrics_host: str = Field("127.0.0.1", description="Address of the metrics page.")
    metrics_port: Port | None = Field(
        None,
        description="Port of the worker's Prometheus metrics; none without it. The workers of `holdfast up` take this one "
        "and the three after it.",
    )
