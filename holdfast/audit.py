"""Checks a chain of audit lines. Needs nothing but the lines, so an export can be checked anywhere."""

import hashlib
from collections.abc import AsyncIterable

from schemas.access import AuditCheck, AuditLine


def link(previous: str, seq: int, entry: str) -> str:
    """The hash of a line; Postgres computes the same in `append_audit`."""
    return hashlib.sha256(f"{previous}\n{seq}\n{entry}".encode()).hexdigest()


async def check_chain(lines: AsyncIterable[AuditLine], *, head: tuple[int, str] | None = None) -> AuditCheck:
    """Finds the first line that was changed, removed or moved; with `head` also lines cut off at the end."""
    previous, count = "", 0
    async for line in lines:
        why = _fault(line, previous, count + 1)
        if why:
            return AuditCheck(ok=False, lines=count, broken_at=count + 1, why=why, head=previous)
        previous, count = line.hash, count + 1
    if head is not None and head != (count, previous):
        return AuditCheck(
            ok=False, lines=count, broken_at=count + 1, why="lines are missing at the end", head=previous
        )
    return AuditCheck(ok=True, lines=count, head=previous)


def _fault(line: AuditLine, previous: str, expected: int) -> str:
    if line.seq != expected:
        return f"line {expected} is missing; line {line.seq} stands in its place"
    if line.previous != previous:
        return "it does not follow from the line before it"
    if line.hash != link(previous, line.seq, line.entry):
        return "it was changed after it was written"
    return ""
