"""Actions that are not a language: HTTP requests, file operations, calls to MCP servers."""

from typing import Any
from urllib.parse import unquote, urlsplit

from holdfast.guardian.facts.action import ActionView
from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.hosts import normal_host, place_of
from holdfast.guardian.facts.paths import normal_path, within
from holdfast.guardian.words import Word
from schemas.facts import Effect

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"})
_READ_OPERATIONS = frozenset({"read", "list", "stat", "search", "exists", "glob"})
_PROTECTED = (
    "/etc",
    "/boot",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/dev",
    "/root",
    "/var/lib",
)
_TEXT_LIMIT = 20_000


def read_http(action: ActionView, draft: Draft) -> None:
    """A GET without a body to a known place reads; userinfo, metadata addresses and odd schemes do not pass."""
    arguments = action.arguments
    url, method = arguments.get("url"), str(arguments.get("method", "GET")).upper()
    draft.note("methods", method)
    if not isinstance(url, str) or len(url) > _TEXT_LIMIT:
        draft.unknown("http: no address")
        return
    _note_address(url, draft)
    draft.effect({Effect.NETWORK, Effect.READ}, f"http {method}")
    if method == "DELETE":
        draft.effect({Effect.DELETE}, "http DELETE")
    elif method not in _SAFE_METHODS:
        draft.effect({Effect.WRITE}, f"http {method}")
    if any(arguments.get(key) for key in ("body", "json", "data", "files", "content")):
        draft.effect({Effect.EGRESS}, "http request with a body")
    headers = arguments.get("headers") or {}
    if not isinstance(headers, dict) or _SECRET_HEADERS & {str(name).lower() for name in headers}:
        draft.effect({Effect.SECRET}, "http request with credentials")


def _note_address(url: str, draft: Draft) -> None:
    try:
        parts = urlsplit(url.strip())
        host = normal_host(unquote(parts.hostname or ""))
    except ValueError:
        draft.unknown("http: the address does not parse")
        return
    draft.note("hosts", host)
    if (
        parts.scheme.lower() not in {"http", "https"}
        or not host
        or "\\" in url
        or any(ord(c) < 33 for c in url.strip())
    ):
        draft.unknown("http: the address is not understood")
    if parts.username is not None or parts.password is not None:
        draft.effect({Effect.SECRET}, "http: credentials in the address")
    place = place_of(host)
    if place == "metadata":
        draft.effect({Effect.SECRET}, f"{host} hands out credentials")
    elif place == "public":
        draft.unknown(f"{host} is outside")


def read_file_action(action: ActionView, draft: Draft) -> None:
    """`path` and `operation`. Paths are texts here: the tool must still refuse links that lead elsewhere.

    A tool that our own catalogue declares a read does nothing else; where it names no path, it has one of its own.
    """
    arguments = action.arguments
    operation = "read"
    if not action.declared_read_only:
        operation = str(arguments.get("operation", arguments.get("op", "write"))).lower()
    keys = ("path", "source", "target", "destination", "other")
    paths = [arguments[key] for key in keys if arguments.get(key) is not None]
    if not paths and action.declared_read_only:
        draft.effect({Effect.READ}, action.tool)
        return
    if not paths or not all(isinstance(path, str) for path in paths):
        draft.unknown("file: no path")
        return
    for path in paths:
        _note_file(str(path)[:_TEXT_LIMIT], operation, draft)


def _note_file(path: str, operation: str, draft: Draft) -> None:
    plain = normal_path(path if path.startswith(("/", "~")) else f"{draft.workspace}/{path}")
    draft.look_at(Word(plain), reads_content=True)
    if any(char in path for char in "\0\n"):
        draft.unknown("file: the path contains control characters")
    if operation in _READ_OPERATIONS:
        draft.effect({Effect.READ}, f"file {operation}")
        draft.reads(plain)
        return
    draft.writes(plain)
    draft.effect({Effect.DELETE if operation in {"delete", "remove"} else Effect.WRITE}, f"file {operation}")
    if not within(plain, draft.workspace):
        draft.effect({Effect.CONFIG}, f"file {operation} outside the workspace")
    if any(within(plain, area) for area in _PROTECTED):
        draft.effect({Effect.DESTROY}, f"file {operation} in a protected area")


def read_mcp(action: ActionView, draft: Draft) -> None:
    """What a server says of its tool is a hint that is recorded; only our own catalogue can call it a read."""
    draft.hints = tuple(sorted(f"{key}={value}"[:100] for key, value in action.hints.items()))[:16]
    if action.hints.get("destructiveHint") is True:
        draft.effect({Effect.DELETE}, f"{action.tool} calls itself destructive")
    draft.effect({Effect.READ} if action.declared_read_only else {Effect.WRITE}, action.tool)
    if not action.declared_read_only:
        draft.unknown(f"{action.tool}: what this server does is not known")
    for text in _strings(action.arguments):
        draft.look_at(Word(text), reads_content=True)


def _strings(value: Any) -> list[str]:
    """Every string in the arguments, without following nesting beyond what JSON text can hold."""
    found: list[str] = []
    queue: list[Any] = [value]
    while queue and len(found) < 1000:
        item = queue.pop()
        if isinstance(item, str):
            found.append(item[:4000])
        elif isinstance(item, dict):
            queue.extend(item.values())
        elif isinstance(item, list):
            queue.extend(item)
    return found
