"""Pages: an opaque cursor holds the place after the last item, so that a page never shifts under new items."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import Query
from pydantic import AfterValidator

from holdfast.adapters.postgres.readings import Position
from holdfast.errors import InvalidInput

Limit = Annotated[int, Query(ge=1, le=200, description="Items a page.")]
Cursor = Annotated[
    str | None, Query(max_length=512, description="`next` of the page before; none for the first page.")
]


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_Moment = Annotated[datetime, AfterValidator(_in_utc)]
Since = Annotated[
    _Moment | None, Query(description="Not before this moment; in UTC where it names no time zone.")
]
Until = Annotated[
    _Moment | None, Query(description="Before this moment; in UTC where it names no time zone.")
]
Key = TypeVar("Key", str, int)
Item = TypeVar("Item")
_LARGEST = 2**53


def encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def decode(cursor: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise unreadable() from error


def _made(item: Any) -> tuple[datetime, str]:
    return item.created_at, item.id


def position(cursor: str | None) -> Position | None:
    """The place a cursor of a list by time means."""
    if cursor is None:
        return None
    try:
        at, item_id = decode(cursor)
        found = Position(created_at=datetime.fromisoformat(at), id=str(item_id))
    except (TypeError, ValueError) as error:
        raise unreadable() from error
    if found.created_at.tzinfo is None or "\0" in found.id:
        raise unreadable()
    return found


def page_by_time(
    items: Sequence[Item], limit: int, place: Callable[[Item], tuple[datetime, str]] = _made
) -> tuple[Sequence[Item], str | None]:
    """One more than a page was asked for: whether it came says whether there is a next page."""
    shown = items[:limit]
    if len(items) <= limit:
        return shown, None
    at, item_id = place(shown[-1])
    return shown, encode([at.isoformat(), item_id])


def place(cursor: str | None, kind: type[Key]) -> Key | None:
    """The key of the last item seen, for lists in the order of one key."""
    if cursor is None:
        return None
    found: Key = decode(cursor)
    if type(found) is not kind or "\0" in str(found) or not 0 <= _size(found) < _LARGEST:
        raise unreadable()
    return found


def _size(key: str | int) -> int:
    return key if isinstance(key, int) else len(key)


def page_by_key(items: Sequence[Any], limit: int, key: str) -> tuple[Sequence[Any], str | None]:
    """The same as `page_by_time`, for a list in the order of one key."""
    shown = items[:limit]
    return shown, encode(getattr(shown[-1], key)) if len(items) > limit else None


def unreadable() -> InvalidInput:
    return InvalidInput("The cursor cannot be read.", remedy="Take `next` of a page as it is.")
