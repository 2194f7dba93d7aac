"""Which embedder a deployment has, from the words of its settings."""

from pathlib import Path

from holdfast.adapters.embedding.litellm_embedder import LitellmEmbedder
from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.embedding.openai_compatible import OPENAI, OpenAICompatible
from holdfast.errors import Misconfigured
from holdfast.knowledge.ports import Embedder

_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 1536, "text-embedding-ada-002": 1536}
_LOCAL = ("minilm", "minilm-quick")
_PREFIX = "openai/"


def embedder_for(
    name: str,
    *,
    key: str | None = None,
    base_url: str | None = None,
    dimensions: int | None = None,
    folder: Path | None = None,
) -> Embedder | None:
    """`minilm`, `minilm-quick`, `none`, a model of an OpenAI-compatible endpoint, or any that litellm knows, as `cohere/embed-v4.0`.

    None means that words alone are searched.
    """
    if name == "none":
        return None
    if name in _LOCAL:
        return MiniLM.find(folder, quick=name == "minilm-quick")
    model = name.removeprefix(_PREFIX)
    size = dimensions or _DIMENSIONS.get(model)
    if size is None:
        raise Misconfigured(
            f"How many dimensions {model} gives is not known.",
            remedy="Set HOLDFAST_KNOWLEDGE__EMBEDDING_DIMENSIONS.",
        )
    if "/" in model and base_url is None:
        return LitellmEmbedder(model=model, dimensions=size, key=key)
    return OpenAICompatible(model=model, dimensions=size, key=key, base_url=base_url or OPENAI)
