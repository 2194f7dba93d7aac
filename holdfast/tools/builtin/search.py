"""`runbook.search` and `memory.search`: what is written down, and what earlier runs taught, in the fast lane."""

from collections.abc import Sequence
from typing import NoReturn, Protocol

from pydantic import Field

from holdfast.errors import ActionRefused
from holdfast.tools.declare import Tool, ToolContext, declared
from schemas.base import Payload, Request
from schemas.knowledge import SearchFilter, SearchRequest, SearchResult
from schemas.memory import Cues, MemoryHit
from schemas.tools import EffectClass, Lane, ToolExample

_MOST_CHARS = 1_500


class Searching(Protocol):
    async def search(self, tenant: str, request: SearchRequest, /) -> SearchResult: ...


class Remembering(Protocol):
    async def search(self, tenant: str, cues: Cues, /) -> Sequence[MemoryHit]: ...


class Question(Request):
    query: str = Field(min_length=1, max_length=2000)
    limit: int = Field(default=5, ge=1, le=20)


class Passage(Payload):
    document: str
    version: int
    title: str
    section: tuple[str, ...] = ()
    text: str
    score: float
    why: str = ""


class Passages(Payload):
    passages: tuple[Passage, ...]
    answered: bool = Field(description="Whether the first of them is likely to answer.")
    note: str = ""

    def told(self) -> str:
        return ", ".join(passage.document for passage in self.passages[:3]) or "nothing found"


class Remembered(Payload):
    id: str
    kind: str
    text: str
    confidence: float
    why: str = ""


class Memories(Payload):
    memories: tuple[Remembered, ...]

    def told(self) -> str:
        return f"{len(self.memories)} memories"


def runbook_search(library: Searching) -> Tool:
    @declared(
        "runbook.search",
        effect=EffectClass.READ_ONLY,
        lane=Lane.FAST,
        timeout_s=15,
        outside=True,
        examples=(
            ToolExample(title="A full disk", arguments={"query": "disk is filling up on a database host"}),
        ),
    )
    async def search(arguments: Question, context: ToolContext) -> Passages:
        """Searches the runbooks of this tenant that hold in this environment; best passages first."""
        where = SearchFilter(environment=context.action.environment)
        request = SearchRequest(query=arguments.query, limit=arguments.limit, where=where)
        found = await library.search(context.action.tenant, request)
        passages = tuple(
            Passage(
                document=hit.document.id,
                version=hit.document.version,
                title=hit.document.title,
                section=hit.section,
                text=hit.snippet[:_MOST_CHARS],
                score=hit.score,
                why=hit.why,
            )
            for hit in found.hits
        )
        return Passages(passages=passages, answered=found.answered, note=found.note)

    return search


def memory_search(memory: Remembering) -> Tool:
    @declared(
        "memory.search",
        effect=EffectClass.READ_ONLY,
        lane=Lane.FAST,
        timeout_s=15,
        outside=True,
        examples=(
            ToolExample(title="Earlier trouble", arguments={"query": "replication lag after a deploy"}),
        ),
    )
    async def search(arguments: Question, context: ToolContext) -> Memories:
        """Searches what earlier runs of this agent taught: facts, lessons and episodes."""
        action = context.action
        cues = Cues(text=arguments.query, agent=action.agent, environment=action.environment)
        hits = (await memory.search(action.tenant, cues))[: arguments.limit]
        return Memories(
            memories=tuple(
                Remembered(
                    id=hit.item.id,
                    kind=hit.item.content.kind.value,
                    text=hit.item.content.text[:_MOST_CHARS],
                    confidence=hit.item.content.confidence,
                    why=hit.why,
                )
                for hit in hits
            )
        )

    return search


class Elsewhere:
    """Stands where the search is not: the tools worker offers these tools, and may read neither library nor memory."""

    async def search(self, tenant: str, request: object, /) -> NoReturn:  # noqa: ARG002
        raise ActionRefused(
            "Runbooks and memory are searched in the fast lane only.",
            remedy="Let policies allow these searches; they cannot wait for an approval.",
        )
