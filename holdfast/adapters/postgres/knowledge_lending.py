"""Alert rules beside the runbooks they name: what a rule says when it fires is how its runbook will be asked for."""

# ruff: noqa: S608 -- only our own constants are written into SQL text

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.adapters.postgres.database import Connection
from holdfast.knowledge.lending import names_meant, names_of
from holdfast.knowledge.reading import Reading
from schemas.knowledge import DocumentKind

_PLAIN = "regexp_replace(lower({}), '[^a-z0-9]+', '', 'g')"
_LAST = r"regexp_replace(regexp_replace(regexp_replace({}, '/+$', ''), '^.*/', ''), '\.[a-z]+$', '')"


def names_lent(readings: Sequence[Reading]) -> list[str]:
    """What the alert rules among these call their runbooks."""
    rules = [each.document for each in readings if each.document.kind is DocumentKind.ALERT_RULE]
    return sorted({name for rule in rules for name in names_meant(rule.alert, rule.uri)})


async def lent_words(connection: Connection, readings: Sequence[Reading]) -> Mapping[str, tuple[str, ...]]:
    """For each runbook among these, by id, what the rules that mean it say."""
    runbooks = [each.document for each in readings if each.document.kind is DocumentKind.RUNBOOK]
    wanted = {name for runbook in runbooks for name in names_of(runbook)}
    cursor = await connection.execute(
        "select alert, uri, questions from knowledge_documents where kind = 'alert_rule' and deleted_at is null"
        " order by id"
    )
    lent: dict[str, tuple[str, ...]] = {}
    for row in await cursor.fetchall():
        meant = names_meant(row["alert"], row["uri"]) & wanted
        for runbook in runbooks:
            if meant & names_of(runbook):
                lent[runbook.id] = (*lent.get(runbook.id, ()), *row["questions"])
    return lent


async def runbooks_for(connection: Connection, names: Sequence[str]) -> list[dict[str, Any]]:
    """The runbooks that are called so, as rows that can be read again."""
    called = (_PLAIN.format("d.alert"), _PLAIN.format("d.title"), *(_PLAIN.format(_LAST.format(each)) for each in ("d.id", "d.uri")))  # fmt: skip
    matches = " or ".join(f"{each} = any(%(names)s)" for each in called)
    cursor = await connection.execute(
        f"""select d.key, d.id, d.digest, d.length, v.content from knowledge_documents d
            join knowledge_versions v on v.document = d.key and v.version = d.version
            where d.kind = 'runbook' and d.deleted_at is null and ({matches})
            order by d.key limit 500""",
        {"names": list(names)},
    )
    return await cursor.fetchall()
