"""What a run takes with it when it starts: the tools of its environment, and the policy bundle in force."""

from schemas.base import Digest
from schemas.tools import Catalogue


class EmptyCatalogues:
    async def tools(self, tenant: str, environment: str) -> Catalogue:  # noqa: ARG002
        return Catalogue()


class NoBundles:
    async def active(self, tenant: str) -> Digest | None:  # noqa: ARG002
        return None
