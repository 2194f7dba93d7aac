"""Pages: an opaque cursor holds the place after the last item, so that a page never shifts under new items."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query

from holdfast.adapters.postgres.readings import Position
from holdfast.errors import InvalidInput

Limit = Annotated[int, Query(ge=1, le=200, description="Items a page.")]
Cursor = Annotated[
    str | None, Query(max_length=512, description="`next` of the page before; none for the first page.")
]


def encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def decode(cursor: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise _unreadable() from error


def position(cursor: str | None) -> Position | None:
    """The place a cursor of a list by time means."""
    if cursor is None:
        return None
    try:
        at, item_id = decode(cursor)
        found = Position(created_at=datetime.fromisoformat(at), id=str(item_id))
    except (TypeError, ValueError) as error:
        raise _unreadable() from error
    if found.created_at.tzinfo is None or "\0" in found.id:
        raise _unreadable()
    return found


def page_by_time(items: Sequence[Any], limit: int) -> tuple[Sequence[Any], str | None]:
    """One more than a page was asked for: whether it came says whether there is a next page."""
    shown = items[:limit]
    if len(items) <= limit:
        return shown, None
    return shown, encode([shown[-1].created_at.isoformat(), shown[-1].id])


def _unreadable() -> InvalidInput:
    return InvalidInput("The cursor cannot be read.", remedy="Take `next` of a page as it is.")
