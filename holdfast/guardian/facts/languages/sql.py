"""SQL text: which statements only read, and which functions make a SELECT do more than that."""

# ruff: noqa: SIM905 - word lists read better as text

import re
from collections.abc import Iterator

from holdfast.guardian.facts.draft import Draft
from holdfast.guardian.facts.languages.sql_functions import unknown_function
from schemas.facts import Effect

_SIZE_LIMIT = 20_000
# Only what every dialect reads alike is blanked: `--x` and `#x` are comments here and operators there, `$$` quotes for one
# server and is a name for the next, and a backslash before a quote ends a string or does not.
_NOISE = re.compile(
    r"""(?P<comment>--(?=\s|\Z)[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^']|'')*')|(?P<name>"[^"]*"|`[^`]*`)""",
    re.DOTALL | re.VERBOSE,
)
_DIALECT = re.compile(r"""\\['"`]""")
_END = re.compile(r"\\[gG]\s*\Z")  # how the clients end a statement
_LEFT_OVER = re.compile(r"""['"`\\]|\$\w*\$""")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_READERS = frozenset("select show describe desc explain with values table pragma help use".split())
_CONFIG = frozenset(
    "set reset begin start commit rollback savepoint end lock unlock analyze vacuum reindex".split()
)
_WRITERS = frozenset(
    "insert update replace merge upsert create alter rename comment copy load import refresh call do exec execute "
    "prepare deallocate notify listen optimize repair cluster checkpoint handler into outfile dumpfile".split()
)
_DELETERS = frozenset("delete drop truncate purge flush kill detach".split())
_POWERS = frozenset("grant revoke shutdown install uninstall attach".split())
_WRITING_READS = _DELETERS | {"insert", "update", "merge", "into", "outfile", "dumpfile", "upsert", "grant"}
_ACTING = re.compile(
    r"\b(pg_(?!size_pretty|\w+_size|is_\w+|get_\w+|postmaster_start_time|conf_load_time|current_(?:wal|xact)\w*|last_\w+|"
    r"blocking_pids|backend_pid|\w+_is_visible|encoding_to_char|typeof|has_role|my_temp_schema|safe_snapshot\w*|"
    r"stat_get_\w+|wal_lsn_diff|walfile_name\w*|char_to_encoding|column_compression)\w+|"
    r"lo_(import|export|unlink|put|from\w*)|dblink\w*|nextval|setval|set_config|xp_\w+|sp_\w+|load_file|load_extension|"
    r"sys_(exec|eval)|benchmark|sleep|pg_sleep|writefile|readfile|edit|fts3_tokenizer|utl_\w+|dbms_\w+|httpuritype|"
    r"url|file|remote|s3|mysql|postgresql|executable|jdbc|odbc|\w+_to_xml\w*|get_lock|master_pos_wait|openrowset|"
    r"opendatasource|xmltype|current_setting|version_compile)\s*\(",
    re.IGNORECASE,
)
_META = re.compile(r"\\(d\w*[+S]*|l\+?|conninfo|z|sf|sv|timing|x|pset|encoding|q|\?|h)(\s+[\w.*\"-]*)*\s*$")
_DOT = re.compile(
    r"\.(tables|schema|databases|indexes|indices|dbinfo|fullschema|show|mode|headers?|help|stats|width)\b[^|]*$"
)
_PRAGMA = re.compile(
    r"pragma\s+(?:\w+\.)?(?:table_x?info|table_list|index_list|index_x?info|foreign_key_(?:list|check)|integrity_check|"
    r"quick_check)\s*\(\s*\w*\s*\)",
    re.IGNORECASE,
)
_SECRET_TABLES = re.compile(
    r"\b(pg_shadow|pg_authid|pg_user_mapping\w*|pg_hba_file_rules|mysql[`\"]?\s*\.\s*[`\"]?(user|global_priv|servers)|"
    r"authentication_string|rolpassword|usesysid\s*,\s*passwd|show\s+create\s+user|password_hash|passw(or)?d|dba_users\w*|user\$|"
    r"api_?keys?|secrets?|credentials?|access_?tokens?|refresh_?tokens?|private_?keys?)\b",
    re.IGNORECASE,
)


def read_sql(text: str, draft: Draft) -> list[str]:
    """Adds effects to `draft`; answers what was not understood."""
    if len(text) > _SIZE_LIMIT:
        return ["the statement is too long"]
    if _SECRET_TABLES.search(text):
        draft.effect({Effect.SECRET}, "reads stored credentials")
    if _DIALECT.search(text):
        return ["a quote after a backslash means different things to different servers"]
    statements = list(_statements(text))
    findings = [] if statements else ["there is no statement"]
    for statement in statements:
        findings += _read_statement(statement, draft)
    draft.effect({Effect.READ}, "sql")
    return findings


def _statements(text: str) -> Iterator[str]:
    """Statements with literals blanked. MySQL runs the text of `/*! … */`, so such comments stay."""
    for line in text.split("\n"):
        if line.lstrip().startswith(("\\", ".")):
            yield line.strip()
    rest = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(("\\", ".")))
    plain = _NOISE.sub(_blank, rest)
    yield from (statement.strip() for statement in plain.split(";") if statement.strip())


def _blank(match: re.Match[str]) -> str:
    if match["comment"]:
        return match["comment"][3:-2] if match["comment"].startswith(("/*!", "/*M!")) else " "
    if match["text"]:
        return " 0 "
    calls = match.string[match.end() :].lstrip().startswith("(")
    return match["name"][1:-1] if calls else "name"


def _read_statement(statement: str, draft: Draft) -> list[str]:
    if statement.startswith("\\"):
        return [] if _META.fullmatch(statement) else ["the meta-command is not known to only read"]
    if statement.startswith("."):
        return [] if _DOT.match(statement) else ["the dot-command is not known to only read"]
    statement = _END.sub("", statement)
    if _LEFT_OVER.search(statement):
        return ["a quote or a backslash stands where the reader does not expect it"]
    words = [word.lower() for word in _WORD.findall(statement)]
    first = words[0] if words else ""
    if first in _READERS:
        return _read_query(first, words, statement, draft)
    for known, effect in (
        (_DELETERS, Effect.DELETE),
        (_WRITERS, Effect.WRITE),
        (_POWERS, Effect.PRIVILEGE),
        (_CONFIG, Effect.CONFIG),
    ):
        if first in known:
            draft.effect({effect}, f"sql {first}")
            return []
    return [f"statement {first[:40]!r} is not known"]


def _read_query(first: str, words: list[str], statement: str, draft: Draft) -> list[str]:
    acting = _WRITING_READS & set(words) if first in {"select", "with", "values", "table"} else set()
    if first == "explain" and "analyze" in words:
        acting |= (_WRITING_READS | _WRITERS) & set(words)
    if first == "pragma" and ("=" in statement or "(" in statement) and not _PRAGMA.fullmatch(statement):
        return ["a PRAGMA with a value may change the database"]
    if acting:
        draft.effect({Effect.WRITE}, f"sql {first} … {min(acting)}")
    if _ACTING.search(statement):
        return ["a function in the statement does more than read"]
    if first != "pragma" and (name := unknown_function(statement)):
        return [f"the function {name[:60]} is not known to only read"]
    return (
        ["locks rows"]
        if re.search(r"\bfor\s+(no\s+key\s+)?(update|share)\b", statement, re.IGNORECASE)
        else []
    )
