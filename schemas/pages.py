"""A page of a list: the one shape of every list of the API."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item", bound=BaseModel)


class Page(BaseModel, Generic[Item]):
    """Some items, and the cursor of the next page; none at the end."""

    model_config = ConfigDict(frozen=True)

    items: Sequence[Item]
    next: str | None = None


class Items(Page[Item], Generic[Item]):
    """A list that is short by nature: one page, and `next` is null."""
