"""How many tokens a text has, about. Good for claims and context checks; bills are settled by what providers count."""

import math

from schemas.canonical import canonical_json
from schemas.chat import ChatRequest

_PER_MESSAGE = 6


def estimate_tokens(text: str) -> int:
    """Errs on the high side: 3.2 bytes a token, where English prose has about 4.5 and JSON about 3.5."""
    return math.ceil(len(text.encode("utf-8", errors="replace")) / 3.2)


def estimate_input(request: ChatRequest) -> int:
    words = sum(estimate_tokens(message.content) + _PER_MESSAGE for message in request.messages)
    calls = [call.model_dump(mode="json") for message in request.messages for call in message.tool_calls]
    extras = [offer.model_dump(mode="json") for offer in request.tools] + calls
    if request.form:
        extras.append(request.form.json_schema)
    return words + sum(len(canonical_json(extra)) // 3 for extra in extras)
