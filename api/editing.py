"""Editing without overwriting: what is read carries its version as an ETag, and a write that names it in If-Match is
refused when somebody was faster."""

from typing import Annotated, Protocol, TypeVar

from fastapi import Header, Response
from pydantic import BaseModel

from holdfast.errors import PreconditionFailed
from schemas.canonical import digest_of

IfMatch = Annotated[str | None, Header(max_length=100, description="The ETag that was read.")]


class Versioned(Protocol):
    @property
    def version(self) -> int: ...


Edited = TypeVar("Edited", bound=Versioned)


def etag(version: int | str) -> str:
    return f'"{version}"'


def tag(found: Edited, response: Response) -> Edited:
    response.headers["ETag"] = etag(found.version)
    return found


def content_tag(found: BaseModel) -> str:
    """The version of what counts none: a digest of what it says."""
    return digest_of(found.model_dump(mode="json")).removeprefix("sha256:")[:16]


def refuse_stale(version: int | str, if_match: str | None, *, what: str) -> None:
    """Goes on where nothing was asked, or where what stands is what was read."""
    if if_match is None or if_match.strip() == "*":
        return
    if etag(version) not in (one.strip().removeprefix("W/") for one in if_match.split(",")):
        raise PreconditionFailed(
            f"{what} has changed since it was read.", remedy="Read it again, and write then."
        )
