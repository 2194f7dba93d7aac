"""What a small library with the bundled model answers: every question that is declared, and nothing that nobody wrote about."""

from pathlib import Path

import pytest

from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.knowledge.reading import read_draft
from holdfast.knowledge.sources import read_path
from schemas.knowledge import SearchRequest
from tests.knowledge.test_embedding import installed

SHIPPED = Path(__file__).parents[2] / "examples" / "runbooks"


@pytest.fixture(scope="module")
async def library(module_database: Database) -> PostgresLibrary:
    library = PostgresLibrary(database=module_database, embedder=MiniLM.find())
    await library.ingest("default", read_path(SHIPPED).drafts, author="ann")
    return library


@installed
async def test_a_question_that_a_runbook_declares_is_answered_by_it(library: PostgresLibrary) -> None:
    asked = 0
    for draft in read_path(SHIPPED).drafts:
        for question in read_draft(draft).document.questions:
            found = await library.search("default", SearchRequest(query=question))
            assert found.answered, question
            assert found.hits[0].document.id == draft.id, question
            asked += 1
    assert asked > len(list(SHIPPED.glob("*.md")))


@installed
async def test_what_nobody_wrote_about_is_not_answered(library: PostgresLibrary) -> None:
    for question in (
        "who won the football match?",
        "postgres replication lags behind",
        "is this invoice all right?",
        "the branch does not merge",
    ):
        found = await library.search("default", SearchRequest(query=question))
        assert not found.answered, question
