"""Alert rules beside the runbooks they name: what a rule says when it fires is how its runbook will be asked for."""

from collections.abc import Sequence
from typing import Any

from holdfast.adapters.postgres.database import Connection
from holdfast.knowledge.reading import Reading
from schemas.knowledge import Document, DocumentKind


def name_of(document: Document) -> str:
    """The alert a runbook answers: said, or its title."""
    return document.alert or document.title


def alerts_in(readings: Sequence[Reading]) -> list[str]:
    rules = [each.document for each in readings if each.document.kind is DocumentKind.ALERT_RULE]
    return sorted({rule.alert for rule in rules if rule.alert})


async def lent_words(connection: Connection, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For each alert, what its rules say."""
    cursor = await connection.execute(
        """select alert, questions from knowledge_documents
           where kind = 'alert_rule' and deleted_at is null and alert = any(%s) order by id""",
        (list(names),),
    )
    lent: dict[str, tuple[str, ...]] = {}
    for row in await cursor.fetchall():
        lent[row["alert"]] = (*lent.get(row["alert"], ()), *row["questions"])
    return lent


async def runbooks_for(connection: Connection, alerts: Sequence[str]) -> list[dict[str, Any]]:
    """The runbooks that these alerts are answered by, as rows that can be read again."""
    cursor = await connection.execute(
        """select d.key, d.id, d.digest, d.length, v.content from knowledge_documents d
           join knowledge_versions v on v.document = d.key and v.version = d.version
           where d.kind = 'runbook' and d.deleted_at is null and (d.alert = any(%s) or d.title = any(%s))
           order by d.key limit 500""",
        (list(alerts), list(alerts)),
    )
    return await cursor.fetchall()
