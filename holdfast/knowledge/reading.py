"""A draft, read: its readable text, its front matter, its title, its chunks, and the words that stand for it."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from holdfast.errors import InvalidInput, TooLarge
from holdfast.knowledge.blocks import read_blocks
from holdfast.knowledge.chunking import cut
from holdfast.knowledge.fences import read_fence
from holdfast.knowledge.formats import media_of
from holdfast.knowledge.frontmatter import split_front_matter
from holdfast.knowledge.html import markdown_of_html
from schemas.base import JsonObject
from schemas.canonical import digest_of
from schemas.knowledge import Chunk, Document, DocumentDraft, DocumentKind, Media

_LONE = re.compile(r"[\ud800-\udfff]")
MAX_CHARS = 8_000_000
MAX_CHUNKS = 20_000
_WORDS = {"source": 300, "component": 200, "environment": 64, "alert": 300, "owner": 200, "uri": 2000}
"""What front matter may say in a word or two, and how long that may be."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A document and what the index needs of it."""

    document: Document
    chunks: list[Chunk]
    lead: str
    body: str


def read_draft(draft: DocumentDraft) -> Reading:
    """Raises InvalidInput or TooLarge, naming the document, for what cannot be read."""
    refuse_unreadable(draft)
    draft = draft.model_copy(update={"media": media_of(draft.text, draft.media)})
    text = markdown_of_html(draft.text) if draft.media == "html" else draft.text
    meta, offset = _front_matter(draft, text)
    title = (
        draft.title or _text(meta.get("title")) or _first_heading(text[offset:], draft) or _stem_of(draft.id)
    )
    chunks = cut(text, draft.media, title=title, offset=offset)
    if not chunks and not draft.questions:
        raise InvalidInput(
            f"{draft.id} has no text.", remedy="Leave it out, or write something in it.", id=draft.id
        )
    if len(chunks) > MAX_CHUNKS:
        raise TooLarge(
            f"{draft.id} has {len(chunks):,} passages; the limit is {MAX_CHUNKS:,}.",
            remedy="Split it into several documents.",
            id=draft.id,
        )
    document = _document(draft, text, offset, meta, title, len(chunks))
    lead = next((chunk.text for chunk in chunks if not chunk.code), "")
    return Reading(document, chunks, lead=lead.split("\n\n", 1)[0], body=text[offset:])


def refuse_unreadable(draft: DocumentDraft) -> None:
    """Raises InvalidInput or TooLarge for what cannot even be kept."""
    if len(draft.text) > MAX_CHARS:
        raise TooLarge(
            f"{draft.id} has {len(draft.text):,} characters; the limit is {MAX_CHARS:,}.",
            remedy="Split it into several documents.",
            id=draft.id,
        )
    if not _is_text(draft.text, *draft.questions, *draft.tags):
        raise InvalidInput(
            f"{draft.id} is not text.", remedy="Only text can be read; leave it out.", id=draft.id
        )


def _is_text(*said: str) -> bool:
    """Whether it can be kept: no NUL, and no half of a character."""
    return not any("\x00" in each or _LONE.search(each) for each in said)


def _front_matter(draft: DocumentDraft, text: str) -> tuple[dict[str, Any], int]:
    if draft.media not in ("markdown", "text"):
        return {}, 0
    try:
        return split_front_matter(text)
    except InvalidInput as error:
        raise InvalidInput(f"{draft.id}: {error.message}", remedy=error.remedy, id=draft.id) from error


def _document(
    draft: DocumentDraft, text: str, offset: int, meta: dict[str, Any], title: str, chunks: int
) -> Document:
    said: dict[str, str] = {name: getattr(draft, name) or _text(meta.get(name)) for name in _WORDS}
    tags = draft.tags or _texts(meta.get("tags"))
    questions = draft.questions or _texts(meta.get("questions"))
    _refuse_front_matter(draft, said, title, *tags, *questions)
    said["title"] = title[:300]
    fields: JsonObject = {
        **said,
        "text": text,
        "kind": draft.kind if draft.kind is not DocumentKind.RUNBOOK else _kind(meta),
        "media": "markdown" if draft.media == "html" else draft.media,
        "tags": list(tags),
        "questions": list(questions),
    }
    about: JsonObject = {
        "runnable": draft.kind is DocumentKind.RUNBOOK and is_annotated(text, offset, draft.media),
        "updated_at": draft.updated_at or _date(meta.get("updated_at") or meta.get("date")),
    }
    return Document.model_validate(
        {**fields, **about, "id": draft.id, "version": 1, "digest": digest_of(fields), "chunks": chunks}
    )


def _refuse_front_matter(draft: DocumentDraft, said: dict[str, str], *others: str) -> None:
    long = next((name for name, value in said.items() if len(value) > _WORDS[name]), "")
    if long or not _is_text(*said.values(), *others):
        what = f"{long} has more than {_WORDS[long]} characters" if long else "it holds what is not text"
        raise InvalidInput(
            f"{draft.id}: in the front matter {what}.", remedy="Mend its front matter.", id=draft.id
        )


def is_annotated(text: str, offset: int, media: Media) -> bool:
    """Whether a block of it was written to be run."""
    return any(
        block.kind == "code" and read_fence(block.info).annotated
        for block in read_blocks(text[offset:], media)
    )


def _kind(meta: dict[str, Any]) -> DocumentKind:
    said = _text(meta.get("kind"))
    return DocumentKind(said) if said in set(DocumentKind) else DocumentKind.RUNBOOK


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(_text(item) for item in value if _text(item)) if isinstance(value, list) else ()


def _date(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.fromisoformat(value.isoformat())
    return None


def _first_heading(text: str, draft: DocumentDraft) -> str:
    for block in read_blocks(text[:20_000], draft.media)[:5]:
        if block.kind == "heading" and block.text:
            return block.text
    return ""


def _stem_of(document_id: str) -> str:
    return document_id.rstrip("/").rsplit("/", 1)[-1].rsplit(".", 1)[0] or document_id
