"""What a log line may not say. Keys that name a secret lose their value; values that carry one lose that part."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

REDACTED = "[redacted]"

_SECRET_KEY = re.compile(
    r"(?:^|[_.\-])(?:"
    r"password|passwd|passphrase|secrets?|token|bearer|cookie|set-cookie|authorization|credentials?|dsn|jwt"
    r"|(?:api|access|private|signing|encryption|secret)[_\-]?keys?"
    r")$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"(?P<url>://[^/\s:@]*:)[^/\s@]+(?=@)"
    r"|(?P<scheme>\b(?:bearer|basic)\s+)[a-z0-9._~+/=\-]{8,}"
    r"|(?P<key>\b(?:sk|hf|ghp|xoxb)[-_])[a-z0-9_\-]{12,}",
    re.IGNORECASE,
)
_DEEPEST = 6


def redact(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: REDACTED if _names_secret(key) else _cleaned(value, _DEEPEST) for key, value in values.items()
    }


def _names_secret(key: object) -> bool:
    return _SECRET_KEY.search(str(key)) is not None


def _cleaned(value: Any, deeper: int) -> Any:
    if isinstance(value, str):
        return _SECRET_VALUE.sub(_keep_prefix, value)
    if deeper == 0:
        return value if isinstance(value, (int, float, bool, type(None))) else REDACTED
    if isinstance(value, Mapping):
        return {
            key: REDACTED if _names_secret(key) else _cleaned(item, deeper - 1) for key, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_cleaned(item, deeper - 1) for item in value]
    return value


def _keep_prefix(match: re.Match[str]) -> str:
    return f"{match['url'] or match['scheme'] or match['key']}{REDACTED}"
