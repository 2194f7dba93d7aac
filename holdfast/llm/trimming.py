"""Makes text fit a budget of tokens without a model: the beginning and the end stay, as errors stand at ends."""

from holdfast.llm.tokens import estimate_tokens

_BYTES_PER_TOKEN = 3.2


def trimmed(text: str, tokens: int) -> str:
    if estimate_tokens(text) <= tokens:
        return text
    data = text.encode("utf-8", errors="replace")
    room = max(0, int(tokens * _BYTES_PER_TOKEN) - 40)
    head, tail = data[: room * 2 // 3], data[len(data) - room // 3 :]
    left_out = len(data) - len(head) - len(tail)
    return f"{_readable(head)}\n[... {left_out} bytes left out ...]\n{_readable(tail)}"


def _readable(data: bytes) -> str:
    return data.decode("utf-8", errors="ignore")


def shares(sizes: list[int], budget: int) -> list[int]:
    """How much of a budget each text gets: small ones are kept whole, and what they leave goes to the others."""
    given = [0] * len(sizes)
    waiting = sorted(range(len(sizes)), key=lambda place: sizes[place])
    for position, place in enumerate(waiting):
        fair = budget // (len(sizes) - position)
        given[place] = min(sizes[place], fair)
        budget -= given[place]
    return given
