"""Who logs in to the embedded database: its owner, and the tools worker as somebody who owns nothing."""

from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from holdfast.embedded.cluster import OWNER

TOOLBOX = "holdfast_toolbox"
_RIGHTS = "holdfast_tools"


async def admit_toolbox(owner_url: str) -> None:
    """A login with the rights of a tools worker, and none to go back to. The migrations have made the rights."""
    async with await psycopg.AsyncConnection.connect(owner_url, autocommit=True) as connection:
        found = await connection.execute("select from pg_roles where rolname = %s", [TOOLBOX])
        if await found.fetchone() is None:
            login, rights = sql.Identifier(TOOLBOX), sql.Identifier(_RIGHTS)
            await connection.execute(sql.SQL("create role {} login in role {}").format(login, rights))


def as_toolbox(owner_url: str) -> str:
    """The same database under that login. Like the owner's it has no password, and no way in but the socket."""
    parts = urlsplit(owner_url)
    return parts._replace(netloc=parts.netloc.replace(f"{OWNER}@", f"{TOOLBOX}@", 1)).geturl()
