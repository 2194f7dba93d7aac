"""What is known by its digest: reckoned once, from everything it says."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from schemas.base import Digest, JsonObject, Payload
from schemas.canonical import digest_of


class Digested(Payload):
    """Two that differ in any field have different digests."""

    @cached_property
    def digest(self) -> Digest:
        return digest_of(self.said())

    def said(self) -> JsonObject:
        return self.model_dump(mode="json")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy says something else, and must not carry the digest of what it was copied from."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("digest", None)
        return copied
