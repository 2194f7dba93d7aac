"""How much of one kind a process works on at once. More is sent away at once, with a time to come back, instead of all
of it becoming slow; and no tenant takes all the places there are."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.errors import LimitReached, Unavailable


class Places:
    """So many places, of which a quarter is kept from any one tenant."""

    def __init__(self, most: int, *, what: str) -> None:
        self._most = most
        self._share = most - most // 4
        self._what = what
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        return self._taken.total()

    @contextmanager
    def one(self, tenant: str) -> Iterator[None]:
        if self.taken >= self._most:
            raise Unavailable(
                f"This process serves {self._most} {self._what} already.",
                remedy="Come back in a moment, or ask another replica.",
                retry_after_s=1,
            )
        if self._taken[tenant] >= self._share:
            raise LimitReached(
                f"This process serves {self._share} {self._what} of tenant {tenant} already, which is its share.",
                remedy="Come back in a moment, or ask another replica.",
                retry_after_s=1,
            )
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]


class Crowd:
    """Requests; streams have places of their own."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._places = Places(most, what="requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = scope.get("state", {}).get("rule")
        if scope["type"] != "http" or rule is None or rule.route_class == "stream" or rule.open:
            await self._app(scope, receive, send)
            return
        with self._places.one(scope["state"]["principal"].tenant):
            await self._app(scope, receive, send)
