"""Front matter: the YAML between two `---` lines at the head of a document."""

import re
from typing import Any

import yaml

from holdfast.errors import InvalidInput
from holdfast.knowledge.plain_yaml import read_yaml

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
MAX_CHARS = 64_000


def split_front_matter(text: str) -> tuple[dict[str, Any], int]:
    """What the front matter says, and where the text after it begins."""
    found = _FRONT.match(text)
    if found is None or len(found[1]) > MAX_CHARS:
        return {}, 0
    try:
        meta = next(iter(read_yaml(found[1])), None)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 2}" if where is not None else ""
        raise InvalidInput(
            f"The front matter is not valid YAML{line}.",
            remedy="Mend what stands between the two `---` lines.",
        ) from error
    if meta is None:
        return {}, found.end()
    if not isinstance(meta, dict):
        raise InvalidInput(
            "The front matter is not a mapping.",
            remedy="Write `key: value` lines between the two `---` lines.",
        )
    return {str(key): value for key, value in meta.items()}, found.end()
