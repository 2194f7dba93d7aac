"""Rows of the library as models, and back."""

from typing import Any

from schemas.knowledge import Document, SearchFilter

COLUMNS = """d.id, d.version, d.digest, d.title, d.kind, d.media, d.source, d.component, d.environment, d.alert,
  d.owner, d.uri, d.tags, d.questions, d.runnable, d.chunks, d.author, d.updated_at, d.ingested_at,
  d.deleted_at is not null as deleted"""

CONTENT = (
    "title",
    "kind",
    "media",
    "source",
    "component",
    "environment",
    "alert",
    "owner",
    "uri",
    "tags",
    "questions",
)


def document_of(row: dict[str, Any]) -> Document:
    return Document.model_validate(row)


def where_json(where: SearchFilter) -> dict[str, Any]:
    """The filter as `knowledge_matching` reads it: only what was said."""
    said = where.model_dump(mode="json", exclude_none=True)
    return {key: value for key, value in said.items() if value != []}
