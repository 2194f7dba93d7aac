"""Cursors of sorted lists of runs: they hold the place of the last run shown, in the order that was asked for."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from api.cursors import decode, encode, unreadable
from holdfast.adapters.postgres.run_order import NOT_ENDED, RunOrder, RunPlace, RunSort
from schemas.runs import Run, RunStatus


def _moment(key: str) -> bool:
    return datetime.fromisoformat(key).tzinfo is not None


_FITS: dict[RunSort, Callable[[str], Any]] = {
    "created_at": _moment,
    "ended_at": lambda key: key == NOT_ENDED or _moment(key),
    "status": RunStatus,
    "spend_usd": lambda key: Decimal(key).is_finite(),
}


def place_in(order: RunOrder, cursor: str | None) -> RunPlace | None:
    """The place a cursor means. One of a list in another order means none here."""
    if cursor is None:
        return None
    try:
        key, run_id = decode(cursor)
        found = RunPlace(str(key), str(run_id))
        fits = _FITS[order.sort](found.key) and "\0" not in found.id
    except (TypeError, ValueError, ArithmeticError) as error:
        raise unreadable() from error
    if not fits:
        raise unreadable()
    return found


def page_in(order: RunOrder, runs: Sequence[Run], limit: int) -> tuple[Sequence[Run], str | None]:
    """One more than a page was asked for: whether it came says whether there is a next page."""
    shown = runs[:limit]
    if len(runs) <= limit:
        return shown, None
    last = order.place(shown[-1])
    return shown, encode([last.key, last.id])
