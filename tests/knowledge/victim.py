"""A process that works off an ingestion or a move to another model, page by page, until it is killed or done.

python -m tests.knowledge.victim DATABASE_URL ingest|embed MODEL
"""

import asyncio
import hashlib
import sys
from collections.abc import Sequence
from typing import Literal

import numpy as np

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.knowledge.ports import Vectors
from holdfast.knowledge.terms import terms_of
from schemas.knowledge import IngestJob

TENANT = "default"
JOB = "job"
SYNONYMS = {"storag": "disk", "volum": "disk"}


class HashedWords:
    """Each word is a direction; a text is the sum of its words. Like texts are near, and it counts its work."""

    def __init__(self, model: str = "words", dimensions: int = 64) -> None:
        self.model = model
        self.dimensions = dimensions
        self.embedded = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += len(texts)
        return np.stack([self._one(text) for text in texts])

    async def close(self) -> None:
        """Nothing is open."""

    def _one(self, text: str) -> Vectors:
        total = np.full(self.dimensions, 1e-6, np.float32)
        for term in terms_of(text):
            word = SYNONYMS.get(term, term)
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            total += np.random.default_rng(seed).standard_normal(self.dimensions).astype(np.float32)
        unit: Vectors = total / np.linalg.norm(total)
        return unit


async def work(url: str, what: Literal["ingest", "embed"], model: str) -> None:
    database = await Database.open(url)
    library = PostgresLibrary(database=database, embedder=HashedWords(model))
    job = IngestJob(tenant=TENANT, job=JOB, author="ann", work=what, page=7)
    sys.stdout.write("working\n")
    sys.stdout.flush()
    while (progress := await library.jobs.page(job)).left:
        sys.stdout.write(f"left {progress.left}\n")
        sys.stdout.flush()
    await library.jobs.finish(job)
    await database.close()


if __name__ == "__main__":
    _, where, task, name = sys.argv
    asyncio.run(work(where, "embed" if task == "embed" else "ingest", name))
