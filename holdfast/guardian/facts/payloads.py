"""Actions that are not a language: HTTP requests, file operations, calls to MCP servers."""

from typing import Any
from urllib.parse import unquote, urlsplit

from holdfast.guardian.facts.action import ActionView
from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.hosts import is_plain, normal_host, place_of
from holdfast.guardian.facts.paths import normal_path, within
from holdfast.guardian.words import Word
from schemas.facts import Effect

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SECRET_HEADERS = frozenset(
    {
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-auth-token",
        "metadata-flavor",
        "metadata",
    }
)
_FRAMING = frozenset(
    {
        "host",
        "connection",
        "upgrade",
        "transfer-encoding",
        "content-length",
        "te",
        "trailer",
        "expect",
        "forwarded",
    }
)
"""Headers that say who is meant or where a request ends: proxies and servers differ about them."""
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
    url, method = arguments.get("url"), str(arguments.get("method", action.method)).upper()
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
    posts = "method" not in arguments and action.method not in _SAFE_METHODS
    if posts or any(
        arguments.get(key) not in (None, "") for key in ("body", "json", "data", "files", "content")
    ):
        draft.effect({Effect.EGRESS}, "http request with a body")
    _note_headers(arguments.get("headers") or {}, draft)


def _note_headers(headers: Any, draft: Draft) -> None:
    if not isinstance(headers, dict):
        draft.unknown("http: the headers are not understood")
        return
    names = {str(name).strip().lower() for name in headers}
    if _SECRET_HEADERS & names or any(name.startswith("x-aws-ec2-metadata") for name in names):
        draft.effect({Effect.SECRET}, "http request with credentials")
    if odd := _FRAMING & names:
        draft.unknown(f"http: the header {min(odd)} changes who is meant")
    if any("method" in name and "override" in name for name in names):
        draft.effect({Effect.WRITE}, "http request under another method")
    if any(char in str(text) for pair in headers.items() for text in pair for char in "\r\n\0"):
        draft.unknown("http: a header holds more than one line")


def _note_address(url: str, draft: Draft) -> None:
    try:
        parts = urlsplit(url.strip())
        host, _ = normal_host(unquote(parts.hostname or "")), parts.port
    except ValueError:
        draft.unknown("http: the address does not parse")
        return
    draft.note("hosts", host)
    if parts.scheme.lower() not in {"http", "https"} or not _is_read_alike(url, parts.netloc, host):
        draft.unknown("http: the address is not understood")
    if parts.username is not None or parts.password is not None:
        draft.effect({Effect.SECRET}, "http: credentials in the address")
    place = place_of(host)
    if place == "metadata":
        draft.effect({Effect.SECRET}, f"{host} hands out credentials")
    elif place == "public":
        draft.unknown(f"{host} is outside")


def _is_read_alike(url: str, netloc: str, host: str) -> bool:
    """Whether parsers agree on the host: none of what one decodes, drops or takes for an end, and another does not."""
    odd = "\\" in url or "%" in netloc or not netloc.isascii() or not url.isprintable() or " " in url
    return not odd and is_plain(host)


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
