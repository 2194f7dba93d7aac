"""What these tests start keeps its data where other tests' servers do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import quick_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder
