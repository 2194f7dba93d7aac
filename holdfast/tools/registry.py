"""The tools a process knows, every version of each. Runs pin what they started with; new runs take the newest."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from holdfast.errors import NotFound
from holdfast.tools.declare import Tool
from schemas.tools import Catalogue, ToolSpec


class Registry:
    """Replaced as a whole when tools change, so that nobody ever sees half a change."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        by_key = {tool.spec.key: tool for tool in tools}
        self._by_key: Mapping[str, Tool] = MappingProxyType(by_key)

    def find(self, name: str, version: str) -> Tool:
        tool = self._by_key.get(f"{name}@{version}")
        if tool is None:
            raise NotFound(
                f"This worker has no tool {name}@{version}.",
                remedy="Deploy the version the run started with, or resume the run with a newer one.",
            )
        return tool

    def newest(self) -> Catalogue:
        return newest_of(self.specs())

    def specs(self) -> Sequence[ToolSpec]:
        return [tool.spec for tool in self._by_key.values()]

    def with_tools(self, tools: Iterable[Tool]) -> "Registry":
        return Registry([*self._by_key.values(), *tools])


def newest_of(specs: Iterable[ToolSpec]) -> Catalogue:
    """The newest version of every tool, releases before pre-releases."""
    newest: dict[str, ToolSpec] = {}
    for spec in specs:
        known = newest.get(spec.name)
        if known is None or semantic(known.version) < semantic(spec.version):
            newest[spec.name] = spec
    return Catalogue(tools=tuple(newest[name] for name in sorted(newest)))


def semantic(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]:
    """Semantic order: a release after its pre-releases, whose parts compare as numbers where they are numbers."""
    core, _, pre = version.partition("-")
    parts = tuple(
        (not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in pre.split(".") if pre
    )
    return tuple(int(number) for number in core.split(".")), not pre, parts
