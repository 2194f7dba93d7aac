"""Bounded memory of an unbounded stream: the head and the tail are kept, the middle is counted."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Excerpt:
    """What is told of a stream."""

    text: str
    truncated: bool


class BoundedOutput:
    """Takes any number of bytes and holds at most `limit` of them."""

    def __init__(self, limit: int) -> None:
        self._head_room = limit // 2
        self._tail_room = limit - limit // 2
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.total = 0

    def take(self, chunk: bytes) -> None:
        self.total += len(chunk)
        room = self._head_room - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self._tail.append(chunk[-self._tail_room :])
            self._tail_size += len(self._tail[-1])
        while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_room:
            self._tail_size -= len(self._tail.popleft())

    def excerpt(self) -> Excerpt:
        """As text of no more bytes than the limit, with a mark where bytes are missing.

        A byte that is no text grows to three when it is replaced, so a flood of them is cut once more.
        """
        head, tail = bytes(self._head), b"".join(self._tail)[-self._tail_room :]
        if self.total <= self._head_room + self._tail_room:
            whole = clean_text(head + tail)
            if len(whole.encode()) <= self._head_room + self._tail_room:
                return Excerpt(whole, truncated=False)
        kept_head = _most(len(head), lambda count: _fits(head[:count], self._head_room))
        kept_tail = _most(len(tail), lambda count: _fits(tail[len(tail) - count :], self._tail_room))
        mark = f"\n[… {self.total - kept_head - kept_tail} bytes cut …]\n"
        text = clean_text(head[:kept_head]) + mark + clean_text(tail[len(tail) - kept_tail :])
        return Excerpt(text, truncated=True)


def clean_text(data: bytes) -> str:
    """Valid UTF-8 without NUL, whatever a tool printed: Postgres and JSON readers choke on less."""
    return data.decode("utf-8", errors="replace").replace("\x00", "\ufffd")


def _fits(data: bytes, room: int) -> bool:
    return len(clean_text(data).encode()) <= room


def _most(upper: int, fits: Callable[[int], bool]) -> int:
    """The largest number that fits, if a smaller one always does where a larger one does."""
    if fits(upper):
        return upper
    low, high = 0, upper
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
