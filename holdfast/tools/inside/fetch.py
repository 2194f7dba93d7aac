"""One HTTP exchange, inside the sandbox. Every connection, redirects included, goes through the egress proxy."""

from __future__ import annotations

import base64
import http.client
import json
import sys
import urllib.error
import urllib.request
from typing import IO, Any


class Redirects(urllib.request.HTTPRedirectHandler):
    """A redirect keeps no credentials of the request, and there are few of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.followed: list[str] = []

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if len(self.followed) >= self.most:
            return None
        fresh = super().redirect_request(req, fp, code, msg, headers, newurl)
        if fresh is not None:
            self.followed.append(newurl[:500])
            for name in ("Authorization", "Cookie", "X-api-key", "X-auth-token"):
                fresh.remove_header(name)
        return fresh


def exchange(request: dict[str, Any]) -> dict[str, Any]:
    redirects = Redirects(request["redirects"])
    opener = urllib.request.build_opener(redirects)
    body = None if request.get("body") is None else request["body"].encode()
    asked = urllib.request.Request(  # noqa: S310 - the schema was checked, and the proxy knows only HTTP
        request["url"], data=body, headers=request["headers"], method=request["method"]
    )
    asked.headers.setdefault("User-agent", "holdfast")
    try:
        response = opener.open(asked, timeout=request["timeout_s"])
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return {**answer(response, request["most_bytes"]), "redirects": redirects.followed}


def answer(response: Any, most: int) -> dict[str, Any]:
    data = response.read(most + 1)
    shown = {
        "status": response.status,
        "url": response.geturl()[:2000],
        "headers": {name.lower(): value[:2000] for name, value in list(response.headers.items())[:60]},
        "bytes": min(len(data), most),
        "more": len(data) > most,
    }
    charset = response.headers.get_content_charset() or "utf-8"
    try:
        text = data[:most].decode(charset, "strict" if len(data) <= most else "replace")
    except (UnicodeDecodeError, LookupError):
        text = "\0"
    if "\0" in text:
        return {**shown, "base64": base64.b64encode(data[:most]).decode()}
    return {**shown, "text": text}


def main() -> None:
    request = json.load(sys.stdin)
    try:
        found = exchange(request)
        if found["status"] >= 400:
            found["error"] = {
                "code": "http_status",
                "message": f"{request['url']} answered {found['status']}.",
            }
    except TimeoutError:
        found = {"error": {"code": "timeout", "message": f"{request['url']} did not answer in time."}}
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        found = {"error": {"code": "unreachable", "message": f"{request['url']}: {reason}"}}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
