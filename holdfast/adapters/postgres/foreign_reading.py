"""One reading statement on somebody else's Postgres, as a program: a JSON object from stdin, its answer to stdout.

A process of its own, because a result is as large as its statement likes: what does not fit ends here, and not in the
worker. It imports no more than it needs, as it is started for each statement.
"""

import ctypes
import json
import math
import re
import resource
import signal
import sys
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.types.string import TextLoader

_MOST_MEMORY = 768 * 1024 * 1024
_MOST_CHARS = 20_000
_MOST_TOTAL = 2_000_000
_CONNECT_S = 10
_PR_SET_PDEATHSIG = 1
_TIMES = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")
"""Postgres knows more of them than Python, `infinity` for one, and a month that is not thirty days."""

_UNKNOWN_NAMES = ("3F000", "42P01", "42703")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_BEFORE = r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*"
_READS = re.compile(_BEFORE + r"(select|with|values|table|show|explain)\b", re.IGNORECASE | re.DOTALL)


class Failed(Exception):
    """A code, a sentence and a remedy, none of which holds a word of the database's URL."""


def main() -> None:
    """It dies with its worker, and has an end to its memory."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    try:
        answer = read(json.load(sys.stdin))
    except Failed as error:
        answer = {"error": error.args}
    json.dump(answer, sys.stdout)


def read(asked: dict[str, Any]) -> dict[str, Any]:
    if not _READS.match(asked["query"]):
        raise Failed(
            "unprocessable",
            "The statement does not read.",
            "Begin it with select, with, values, table, show or explain.",
        )
    try:
        with _connected(asked) as connection:
            return _table(connection, asked)
    except MemoryError:
        raise _too_large() from None
    except psycopg.errors.ReadOnlySqlTransaction:
        raise Failed("unprocessable", "The statement would write.", "sql.query only reads.") from None
    except psycopg.errors.QueryCanceled:
        said = f"The statement took longer than {asked['timeout_s']:g} s."
        raise Failed("tool_failed", said, "Narrow it, or raise timeout_s (to 100 at most).") from None
    except psycopg.Error as error:
        raise _failure(error) from None


def _failure(error: psycopg.Error) -> Failed:
    """What a server says of a statement is told; what is said of a connection is not: it may repeat the URL."""
    said = error.diag.message_primary or ""
    if "out of memory" in str(error) and not error.sqlstate:
        return _too_large()
    if isinstance(error, psycopg.OperationalError):
        said = f"The database cannot be read: {said or _why_no_connection(error)}."
        return Failed(
            "tool_failed", said, "Is it up, and may this worker connect to it with the secret's login?"
        )
    remedy = error.diag.message_hint or ""
    if error.sqlstate in _UNKNOWN_NAMES:
        remedy = remedy or "information_schema.columns lists what there is to be read."
    elif isinstance(error, psycopg.DataError) and not error.sqlstate:
        remedy = "Cast the column, or the parameter, to text."
    elif isinstance(error, psycopg.errors.SyntaxError):
        remedy = remedy or "Send one statement, and a parameter for each `%s`."
    elif error.sqlstate:
        remedy = remedy or "Mend the statement, or leave out the rows it does not fit."
    else:
        remedy = "Give as many parameters as there are `%s`; a percent sign is `%%` beside them."
    return Failed("invalid_input", f"Postgres refused the statement: {said or error}"[:1000], remedy)


def _why_no_connection(error: psycopg.OperationalError) -> str:
    """The end of what libpq says, without the names of the URL that it quotes."""
    first = str(error).partition("\n")[0].rpartition("failed: ")[2]
    return _QUOTED.sub("…", first)[:300].rstrip(".")


def _too_large() -> Failed:
    return Failed(
        "too_large", "The result is larger than one call may take.", "Ask for fewer or shorter columns."
    )


def _connected(asked: dict[str, Any]) -> Connection[Any]:
    timeout = f"-c statement_timeout={int(asked['timeout_s'] * 1000)}"
    options = f"-c default_transaction_read_only=on -c datestyle=iso {timeout}"
    try:
        connection = psycopg.connect(
            asked["url"], options=options, connect_timeout=_CONNECT_S, application_name="holdfast sql.query"
        )
    except psycopg.ProgrammingError:
        remedy = "Write it as postgresql://user:password@host/database."
        raise Failed("misconfigured", "The secret holds no Postgres URL.", remedy) from None
    for kind in _TIMES:
        connection.adapters.register_loader(kind, TextLoader)
    return connection


def _table(connection: Connection[Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Row by row, and no more of them than are wanted. The protocol that streams takes exactly one statement, so nothing
    can end the read-only transaction and go on behind it; what it did is rolled back."""
    connection.read_only = True
    rows: list[list[Any]] = []
    size, more = 0, False
    cursor = connection.cursor()
    for row in cursor.stream(sql.SQL(asked["query"]), asked["parameters"] or None):
        plain = [_plain(value) for value in row]
        size += len(json.dumps(plain))
        more = len(rows) == asked["limit"] or size > _MOST_TOTAL
        if more:
            break
        rows.append(plain)
    columns = [column.name for column in cursor.description or ()]
    connection.rollback()
    return {"columns": columns or _columns(connection, asked), "rows": rows, "more": more}


def _columns(connection: Connection[Any], asked: dict[str, Any]) -> list[str]:
    """Of a statement that brought no row, which a stream says nothing about."""
    body = asked["query"].rstrip().rstrip(";")
    try:
        cursor = connection.execute(
            sql.SQL("select * from (\n{}\n) as nothing limit 0").format(sql.SQL(body)),
            asked["parameters"] or None,
            prepare=True,
        )
    except psycopg.Error:
        return []
    return [column.name for column in cursor.description or ()]


def _plain(value: Any) -> Any:
    """As JSON has it; everything else as text."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | dict):
        text = json.dumps(value, default=str)
        return json.loads(text, parse_constant=str) if len(text) <= _MOST_CHARS else _cut(text)
    return _cut(value.hex() if isinstance(value, bytes | memoryview) else str(value)).replace("\0", "\ufffd")


def _cut(text: str) -> str:
    left_out = len(text) - _MOST_CHARS
    return text if left_out <= 0 else f"{text[:_MOST_CHARS]}… {left_out} characters more …"


if __name__ == "__main__":
    main()
