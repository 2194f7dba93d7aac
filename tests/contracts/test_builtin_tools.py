"""Every tool that ships is committed as its version and its spec's digest: a worker refuses to publish other words under
a version that stands in its database, so a changed schema, effect or profile needs the next version.

`pytest tests/contracts --write-contracts` writes what is new; it does not write over a version.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from holdfast.adapters.bubblewrap.sandbox import BubblewrapSandbox
from holdfast.adapters.postgres.foreign import ForeignPostgres
from holdfast.adapters.secrets import SecretFolder
from holdfast.tools.builtin import fast_tools, sandboxed_tools
from holdfast.tools.builtin.search import Elsewhere
from schemas.tools import ToolSpec
from tests.tools.test_host import OneList

SNAPSHOT = Path(__file__).with_name("builtin_tools.json")


def shipped(store: Path) -> Sequence[ToolSpec]:
    tools = (
        *fast_tools(todos=OneList(), library=Elsewhere(), memory=Elsewhere()),
        *sandboxed_tools(
            BubblewrapSandbox(store=store),
            todos=OneList(),
            queries=ForeignPostgres(),
            secrets=SecretFolder(store),
        ),
    )
    return [tool.spec for tool in tools]


def reworded(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Tools that say something else under a version that was committed."""
    return (key for key, digest in now.items() if before.get(key, digest) != digest)


def test_a_builtin_says_what_was_reviewed_or_has_the_next_version(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    before = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    now = {spec.key: spec.digest for spec in shipped(tmp_path)}
    changed = sorted(reworded(before, now))
    assert not changed, f"changed without a new version: {', '.join(changed)}. Raise its version."
    if request.config.getoption("write_contracts"):
        before = now
        SNAPSHOT.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    moved = sorted(before.keys() ^ now.keys())
    assert not moved, f"tools came or went: {', '.join(moved)}. If that is meant: make contracts"


@pytest.mark.parametrize(
    "change",
    [
        {"effect": "read_only"},
        {"input_schema": {"type": "object", "required": ["other"]}},
        {"permissions": {"limits": {"wall_s": 1.0}}},
        {"description": "Does something else."},
    ],
)
def test_a_change_under_the_same_version_is_seen(tmp_path: Path, change: dict[str, object]) -> None:
    specs = shipped(tmp_path)
    shell = next(spec for spec in specs if spec.name == "shell")
    other = ToolSpec.model_validate(shell.model_dump() | change)
    before = {spec.key: spec.digest for spec in specs}
    assert list(reworded(before, before | {other.key: other.digest})) == [shell.key]
    later = other.model_copy(update={"version": "99.0.0"})
    assert not list(reworded(before, {later.key: later.digest}))
