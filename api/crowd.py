"""How many requests one process works on at once. More are sent away at once, with a time to come back, instead of
all of them becoming slow. Streams have a limit of their own."""

from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.errors import Unavailable


class Crowd:
    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = scope.get("state", {}).get("rule")
        if scope["type"] != "http" or rule is None or rule.route_class == "stream" or rule.open:
            await self._app(scope, receive, send)
            return
        if self._inside >= self._most:
            raise Unavailable(
                f"This process works on {self._most} requests already.", remedy="The call is safe to repeat."
            )
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1
