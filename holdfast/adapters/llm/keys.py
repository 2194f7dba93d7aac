"""The keys of the providers. They live in the llm worker's environment, and leave it in a request's header only."""

import re
from collections.abc import Mapping

from holdfast.llm.failures import ModelKeyRefused
from schemas.models import Deployment

_LOOKS_LIKE_A_KEY = re.compile(r"\b(?:sk|pk|rk|key|gsk|xai|AIza|Bearer )[-_A-Za-z0-9*]{8,}")
_LIBRARY = re.compile(r"^(?:(?:litellm\.)?\w+(?:Error|Exception)(?::\s*|\s+-\s+))+")
"""Class names of a library in front of what a provider said: they tell an operator nothing."""
_LONGEST_MESSAGE = 300


class KeyRing:
    """Holds keys by name, such as `openai`, and prints as nothing."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    def __repr__(self) -> str:
        return "KeyRing()"

    def key_for(self, deployment: Deployment) -> str | None:
        if deployment.key is None:
            return None
        key = self._keys.get(deployment.key)
        if not key:
            raise ModelKeyRefused(
                f"The key of model deployment `{deployment.name}` is not set.",
                remedy=f"Set the key `{deployment.key}` (HOLDFAST_MODELS__API_KEYS, or the provider's own variable) for the llm worker.",
                deployment=deployment.name,
            )
        return key

    def scrub(self, text: str, deployment: Deployment) -> str:
        """A provider's words without our key: some repeat it when they refuse it."""
        key = self._keys.get(deployment.key or "")
        bare = text.replace(key, "[key]") if key else text
        said = _LIBRARY.sub("", _LOOKS_LIKE_A_KEY.sub("[key]", bare))
        return f"{said[:_LONGEST_MESSAGE].rstrip().rstrip('.')}."
