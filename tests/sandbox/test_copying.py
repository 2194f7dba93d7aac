"""What a call's copies of its workspace must never do: lose what was there, or keep half of what is."""

import os
from pathlib import Path

from holdfast.adapters.bubblewrap.filling import copy_in
from holdfast.adapters.bubblewrap.writing_back import copy_out


def _directory(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def test_without_time_to_write_back_the_store_keeps_what_it_has(tmp_path: Path) -> None:
    store, workspace = _directory(tmp_path / "store"), _directory(tmp_path / "workspace")
    (tmp_path / "store/large").write_text("before")
    before = copy_in(store, workspace)
    (tmp_path / "workspace/large").write_bytes(b"x" * (64 << 20))
    after = copy_out(workspace, store, before, seconds=0.001)
    assert after.cut_short
    assert {path.name: path.read_text() for path in (tmp_path / "store").iterdir()} == {"large": "before"}
    assert not copy_out(workspace, store, before).cut_short
    assert (tmp_path / "store/large").stat().st_size == 64 << 20
