"""Keeps BLAS to one thread in this process.

Its threads wait for each other by spinning: on a machine that has other work, two of them need four times the processor
time of one. Batches run side by side in threads of ours instead, which wait for nothing.
"""

import ctypes
from functools import lru_cache
from pathlib import Path

import numpy as np

_SETTERS = ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads")


@lru_cache(maxsize=1)
def keep_blas_to_one_thread() -> bool:
    """Whether numpy's own OpenBLAS was found and told; another BLAS keeps its own ways."""
    for library in sorted(Path(np.__file__).parent.parent.glob("numpy.libs/*openblas*")):
        loaded = ctypes.CDLL(str(library))
        for name in _SETTERS:
            if setter := getattr(loaded, name, None):
                setter(1)
                return True
    return False
