"""RFC 9457: the one shape of every HTTP error."""

from typing import Literal

from schemas.base import Payload


class FieldProblem(Payload):
    """One thing wrong with a request: where it stands, and what is wrong with it."""

    pointer: str
    message: str


class Problem(Payload):
    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str | None = None
    code: str
    remedy: str = ""
    retryable: bool = False
    run_id: str | None = None
    trace_id: str | None = None
    errors: tuple[FieldProblem, ...] = ()


MEDIA_TYPE: Literal["application/problem+json"] = "application/problem+json"
