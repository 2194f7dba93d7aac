"""What an endpoint answered, as the unit vectors that were asked for."""

from collections.abc import Sequence

import numpy as np

from holdfast.errors import InvalidInput, Unavailable
from holdfast.knowledge.ports import Vectors


def unit_rows(rows: Sequence[Sequence[float]], *, wanted: int, dimensions: int, model: str) -> Vectors:
    """Raises where rows are missing, or longer or shorter than this model's vectors are in the library."""
    try:
        vectors = np.asarray(rows, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise Unavailable("The embedding endpoint answered something else.", model=model) from error
    if vectors.shape != (wanted, dimensions):
        raise InvalidInput(
            f"{model} gave vectors of shape {vectors.shape}; {(wanted, dimensions)} was expected.",
            remedy="Set the number of dimensions that this model gives: HOLDFAST_KNOWLEDGE__EMBEDDING_DIMENSIONS.",
            model=model,
        )
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit
