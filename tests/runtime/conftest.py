"""What several tests of deployments stand on."""

from collections.abc import AsyncIterator

import pytest

from holdfast.adapters.postgres.migrate import migrate
from holdfast.embedded.binaries import program
from holdfast.embedded.ports import any_free
from holdfast.embedded.postgres import THROWAWAY, EmbeddedPostgres
from tests.places import quick_folder
from tests.runtime.deployment import DEPLOY, PASSWORDS, login, run_sh

TRYOUT = (
    "create role holdfast_tryout login password 'secret-TRYOUT' in role holdfast_app, holdfast_tools;"
    "grant connect on database holdfast to holdfast_tryout"
)
"""Who starts a whole stack on a database of their own has one login for all its processes."""


@pytest.fixture(scope="module")
async def deployed() -> AsyncIterator[int]:
    """The port of a Postgres with the roles of a deployment, migrated by the owner, as the compose file does."""
    with quick_folder() as folder:
        server = EmbeddedPostgres(folder, log=folder / "log", port=any_free(), options=THROWAWAY)
        await server.start()
        await run_sh(
            program("psql"),
            server.url,
            "--quiet",
            "--file",
            str(DEPLOY / "postgres" / "10-roles.sql"),
            **PASSWORDS,
        )
        await run_sh(program("psql"), server.url, "--quiet", "--command", TRYOUT)
        port = int(server.address.rpartition(":")[2])
        await migrate(login("owner", port))
        yield port
        await server.stop()
