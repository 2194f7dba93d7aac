"""The tools of a run, by their digest: they are the largest part of what thinking needs, and never change under a run.

Requests leave them out. They are read once from the input that the run was accepted with, and kept for every run that has
the same.
"""

from collections import OrderedDict
from typing import Protocol, Self, TypeVar

from holdfast.errors import CatalogueUnknown, NotFound
from holdfast.ports import Runs
from schemas.base import Digest
from schemas.stages import RunScope
from schemas.tools import Catalogue

_MOST = 64


class Asks(Protocol):
    """A request that names its tools by their digest."""

    @property
    def scope(self) -> RunScope: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def catalogue_digest(self) -> Digest | None: ...
    def model_copy(self, *, update: dict[str, object]) -> Self: ...


Request = TypeVar("Request", bound=Asks)


class Catalogues:
    def __init__(self, *, runs: Runs) -> None:
        self._runs = runs
        self._known: OrderedDict[Digest, Catalogue] = OrderedDict()

    async def filled_in(self, request: Request) -> Request:
        """The request with its tools. Raises CatalogueUnknown where the run's input has others, as that of a run which was
        set back in Temporal to before it went on with another agent: then they have to be sent."""
        digest = request.catalogue_digest
        if digest is None:
            return request
        found = self._known.get(digest) or await self._read(request.scope, digest)
        self._known[digest] = found
        self._known.move_to_end(digest)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return request.model_copy(update={"catalogue": found, "catalogue_digest": None})

    async def _read(self, scope: RunScope, digest: Digest) -> Catalogue:
        try:
            found = (await self._runs.start_input(scope.tenant, scope.run_id)).catalogue
        except NotFound as error:
            raise CatalogueUnknown(run_id=scope.run_id) from error
        if found.digest != digest:
            raise CatalogueUnknown(run_id=scope.run_id)
        return found
