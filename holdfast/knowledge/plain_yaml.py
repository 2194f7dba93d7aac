"""YAML as documents carry it. Aliases are refused: a page of them stands for more than any memory holds."""

from typing import Any

import yaml


class _WithoutAliases(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # yaml's stubs leave it out
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not read here", mark)
        return super().compose_node(parent, index)


def read_yaml(text: str) -> list[Any]:
    """Its documents. Raises yaml.YAMLError, also for what nests too deep."""
    try:
        return list(yaml.load_all(text, _WithoutAliases))
    except RecursionError as error:
        raise yaml.YAMLError("It nests too deep.") from error
    except ValueError as error:  # such as a date of the 40th of May
        raise yaml.YAMLError(str(error)) from error
