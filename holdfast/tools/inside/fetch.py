"""One HTTP exchange, inside the sandbox. Every connection, redirects included, goes through the egress proxy."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, Any, NoReturn

LEFT_ALONE = "!$&'()*+,;=:@/?%[]~"


class Refused(Exception):
    """The exchange did not come to an end that could be used."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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


def plain(url: str) -> str:
    """The address as it goes over the wire: its host in ASCII, what is left of other letters in percents."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
        shown = f"[{host}]" if ":" in host else host.encode("idna").decode()
    except ValueError as error:
        raise Refused("bad_url", f"{url} is no address: {error}.") from error
    if parts.username is not None or not host:
        raise Refused("bad_url", "The address names a user." if host else f"{url} names no host.")
    path, query = (urllib.parse.quote(part, safe=LEFT_ALONE) for part in (parts.path or "/", parts.query))
    return urllib.parse.urlunsplit(
        (parts.scheme, shown if port is None else f"{shown}:{port}", path, query, "")
    )


def exchange(request: dict[str, Any]) -> dict[str, Any]:
    redirects = Redirects(request["redirects"])
    url = plain(request["url"])
    opener = urllib.request.build_opener(redirects)
    body = None if request.get("body") is None else request["body"].encode()
    asked = urllib.request.Request(  # noqa: S310 - the schema was checked, and the proxy knows only HTTP
        url, data=body, headers=request["headers"], method=request["method"]
    )
    asked.headers.setdefault("User-agent", "holdfast")
    try:
        response = opener.open(asked, timeout=request["timeout_s"])
    except urllib.error.HTTPError as error:
        response = error
    with response:
        found = {**answer(response, request["most_bytes"]), "redirects": redirects.followed}
    if found["status"] in (301, 302, 303, 307, 308) and (request["redirects"] or request.get("arrives")):
        many = len(redirects.followed)
        said = (
            f"still redirected after {many} times" if many else "redirected, and what is sent is not sent on"
        )
        raise Refused("redirects", f"{request['url']} was {said}.")
    return found


def answer(response: Any, most: int) -> dict[str, Any]:
    data = response.read(most + 1)
    if len(data) <= most and response.length:
        raise Refused("unreachable", f"The answer ended {response.length} bytes before its announced end.")
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


def out_of_time(*_: object) -> NoReturn:
    raise TimeoutError


def why(request: dict[str, Any], error: Exception) -> dict[str, str]:
    """A failure's code, and a sentence that names the address as it was asked for."""
    url, reason = request["url"], getattr(error, "reason", error)
    if isinstance(error, Refused):
        return {"code": error.code, "message": str(error)}
    if isinstance(reason, TimeoutError):
        return {"code": "timeout", "message": f"{url} did not answer within {request['timeout_s']:g} s."}
    if isinstance(reason, ssl.SSLError):
        said = getattr(reason, "verify_message", "") or reason.reason or "no TLS"
        return {"code": "tls", "message": f"{url}: {said}."}
    if isinstance(reason, http.client.BadStatusLine):
        return {"code": "unreachable", "message": f"{url} answered with what is no HTTP."}
    return {"code": "unreachable", "message": f"{url}: {reason}"[:1000]}


def main() -> None:
    request = json.load(sys.stdin)
    signal.signal(signal.SIGALRM, out_of_time)  # for the whole exchange: an answer that drips is late too
    signal.setitimer(signal.ITIMER_REAL, request["timeout_s"])
    try:
        found = exchange(request)
        if found["status"] >= 400:
            found["error"] = {
                "code": "http_status",
                "message": f"{request['url']} answered {found['status']}.",
            }
    except (OSError, http.client.HTTPException, ValueError, Refused) as error:
        found = {"error": why(request, error)}
    signal.setitimer(signal.ITIMER_REAL, 0)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
