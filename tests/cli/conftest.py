"""A real API for the commands people type."""

from collections.abc import AsyncIterator

import pytest

from tests.api.conftest import RunningApi, reaching, serve
from tests.databases import Databases


@pytest.fixture(scope="session")
async def api(databases: Databases, temporal_address: str) -> AsyncIterator[RunningApi]:
    """One for all modules: their tests keep apart by their runs, names and keys."""
    url = await databases.take()
    async with serve(url, reaching(temporal_address)) as running:
        yield running
    databases.give_back(url)
