"""What the address asks must be asked of this route: a misspelt filter would else narrow nothing, in silence."""

from collections import Counter

from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.requests import HTTPConnection

from holdfast.errors import Unprocessable


def refuse_unknown(connection: HTTPConnection) -> None:
    """Every parameter is one the route knows, and comes once where it has one value."""
    given = Counter(name for name, _ in connection.query_params.multi_items())
    if not given:
        return
    known = _parameters(connection.scope["route"])
    for name, times in given.items():
        if name not in known:
            raise Unprocessable(
                f"There is no query parameter {name[:60]!r} here.",
                remedy=f"There are {', '.join(sorted(known))}." if known else "There are none.",
            )
        if times > 1 and not known[name]:
            raise Unprocessable(f"The query parameter {name!r} has one value.", remedy="Send it once.")


def _parameters(route: APIRoute | APIWebSocketRoute) -> dict[str, bool]:
    """The query parameters of a route, and whether each may come several times."""
    fields = get_flat_params(route.dependant)
    return {
        field.alias: "list" in str(field.field_info.annotation)
        for field in fields
        if isinstance(field.field_info, Query)
    }
