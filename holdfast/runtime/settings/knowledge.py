"""Runbooks and memory."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from holdfast.runtime.settings.fields import Count, Section


class KnowledgeSettings(Section):
    """Runbooks and memory: how they are indexed, recalled and kept."""

    embedding: str = Field(
        "minilm",
        description="`minilm` (shipped, local), `minilm-quick`, `none`, a model of an OpenAI-compatible endpoint, or one of litellm.",
    )
    embedding_key: SecretStr | None = Field(None, description="Key of the endpoint or provider that embeds.")
    embedding_url: str | None = Field(
        None, description="Base URL of an OpenAI-compatible endpoint; OpenAI's own without it."
    )
    embedding_dimensions: Annotated[int, Field(ge=1, le=16_000)] | None = Field(
        None, description="Length of the model's vectors; known for OpenAI's models."
    )
    embedding_folder: Path | None = Field(
        None, description="Where the files of `minilm` are, if its wheel is not installed."
    )
    embedding_before: str | None = Field(
        None,
        description="The model before, named as in `embedding`: it answers while the library moves. Its key is the same.",
    )
    embedding_before_url: str | None = Field(
        None, description="Where the model before is, if not at `embedding_url`."
    )
    embedding_before_dimensions: Annotated[int, Field(ge=1, le=16_000)] | None = Field(
        None, description="Length of its vectors; known for OpenAI's models."
    )
    ingestion_rest_s: Annotated[float, Field(ge=0, le=60)] = Field(
        0, description="Seconds that a job rests after 25 documents, for an endpoint with a limit."
    )
    rerank_url: str | None = Field(
        None, description="A `/rerank` endpoint as of Cohere, Jina, vLLM or TEI; none without it."
    )
    rerank_model: str = Field("", description="The model that reranks, where the endpoint has several.")
    rerank_key: SecretStr | None = Field(None, description="Key of the endpoint that reranks.")
    snapshot_hours: Annotated[int, Field(ge=0)] = Field(
        24, description="Hours between snapshots of memory; 0 takes none by itself."
    )
    new_lessons: Literal["proposed", "active"] = Field(
        "proposed", description="Whether lessons learned from runs wait for a person."
    )
    recency_weight: Annotated[float, Field(ge=0, le=1)] = Field(
        0.1, description="Bonus of what is new, in recall."
    )
    half_life_days: Annotated[float, Field(gt=0)] = Field(
        30, description="Days after which that bonus is halved."
    )
    recall_tokens: Count = Field(2_000, description="Tokens of runbooks and memory that a plan is given.")
