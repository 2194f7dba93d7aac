"""Canonical JSON and digests: the same value has the same bytes on every machine, for ever.

Keys are sorted by code point, no white space, UTF-8 without escapes beyond what JSON needs. A float with an
integral value is written as an integer, as JSON has one number type; NaN and infinities are refused.
"""

import hashlib
import json
from typing import Any

DEEPEST = 200
"""Lists and objects inside each other. A bound of our own, so that no stack decides what has a digest."""


def canonical_json(value: Any) -> bytes:
    """The one byte form of a JSON value. Raises ValueError for what JSON cannot say."""
    return json.dumps(
        _plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode("utf-8", errors="surrogatepass")


def digest_of(value: Any) -> str:
    """The digest of a JSON value, as `sha256:` and 64 hexadecimal digits."""
    return digest_of_bytes(canonical_json(value))


def digest_of_bytes(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"a JSON value is at most {DEEPEST} levels deep")
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"a JSON object has text keys; {key!r} is {type(key).__name__}")
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    raise ValueError(f"{type(value).__name__} is not a JSON value")
