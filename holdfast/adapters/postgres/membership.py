"""Whether a login may be what our processes become on each connection: told at once, and what to grant."""

import psycopg
from psycopg import sql

from holdfast.adapters.postgres.database import Role
from holdfast.adapters.postgres.migrate import unreachable
from holdfast.errors import Misconfigured, Unavailable


async def require_roles(url: str, *roles: Role) -> None:
    """The owner of the schema is in none of them unless somebody put it there, though it owns what they may use."""
    try:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            cursor = await connection.execute(
                "select current_user, array(select r from unnest(%s::text[]) r where not pg_has_role(current_user, r, 'SET'))",
                [list(roles)],
            )
            login, missing = await cursor.fetchone() or ("", [])
            if missing:
                grant = sql.SQL("grant {} to {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, missing)), sql.Identifier(login)
                )
                raise Misconfigured(
                    f"The login {login} of DATABASE_URL may not act as {' or '.join(missing)}.",
                    remedy=f"Use the login of the application, or let a superuser do this: {grant.as_string(connection)}",
                )
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    except psycopg.Error as error:
        raise Unavailable(
            f"The database does not say what its login may be: {error}",
            remedy="Check DATABASE_URL, and that `holdfast db migrate` has run.",
        ) from error
