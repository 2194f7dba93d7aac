"""Bounded memory of an unbounded stream: the head and the tail are kept, the middle is counted."""

from collections import deque


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

    @property
    def truncated(self) -> bool:
        return self.total > self._head_room + self._tail_room

    def content(self) -> bytes:
        """What was kept, with a mark where bytes are missing."""
        tail = b"".join(self._tail)[-self._tail_room :]
        if not self.truncated:
            return bytes(self._head) + tail
        missing = self.total - len(self._head) - len(tail)
        return bytes(self._head) + f"\n[… {missing} bytes cut …]\n".encode() + tail


def clean_text(data: bytes) -> str:
    """Valid UTF-8 without NUL, whatever a tool printed: Postgres and JSON readers choke on less."""
    return data.decode("utf-8", errors="replace").replace("\x00", "�")
