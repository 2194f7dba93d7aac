"""One connection of the tool, from what it asks to what is written down of it, and the two ways in which it comes to nothing."""

import asyncio
import contextlib
from dataclasses import dataclass

from schemas.sandbox import NetworkDecision

CHUNK = 65536
_LINGER_S = 0.3


class Denied(Exception):
    """This connection is not made; the message is for the tool and for the record."""


class Unreachable(Exception):
    """The destination is allowed, but cannot be reached."""


@dataclass
class Talk:
    """One connection of the tool, on its way to becoming a decision."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    one_too_many: bool
    host: str = ""
    port: int = 0
    method: str = ""
    address: str | None = None
    reason: str = ""
    allowed: bool = False
    up: int = 0
    down: int = 0
    answered: bool = False
    written_down: bool = False

    async def answer(self, code: int, reason: str) -> None:
        if self.answered:
            return
        body = f"holdfast egress proxy: {reason}\n".encode()
        words = {400: "Bad Request", 403: "Forbidden", 502: "Bad Gateway"}
        head = f"HTTP/1.1 {code} {words[code]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        with contextlib.suppress(OSError, TimeoutError):
            self.writer.write(
                f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
            )
            self.writer.write_eof()
            async with asyncio.timeout(_LINGER_S):  # closing with unread bytes would reset the answer away
                while await self.reader.read(CHUNK):
                    pass

    def decision(self) -> NetworkDecision | None:
        """Nothing where nothing was asked."""
        if not self.method and not self.reason:
            return None
        return NetworkDecision(
            host=self.host,
            port=self.port,
            verdict="allowed" if self.allowed else "denied",
            reason=self.reason,
            method=self.method,
            address=self.address,
            bytes_up=self.up,
            bytes_down=self.down,
        )
