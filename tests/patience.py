"""How to wait for what announces nothing: the longer it takes, the more seldom one looks, so that many who wait at once
leave the processor to what they wait for."""

import time
from collections.abc import Iterator


def pauses() -> Iterator[float]:
    """Seconds to the next look: a tenth of what has passed, within bounds."""
    began = time.monotonic()
    while True:
        yield min(max(0.02, (time.monotonic() - began) / 10), 0.5)
