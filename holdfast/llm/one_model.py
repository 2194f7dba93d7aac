"""The smallest setting: one model by its litellm name, and the key its provider is known to read."""

from schemas.models import Deployment, ModelSettings

_KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "groq": "GROQ_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "xai": "XAI_API_KEY",
    "azure": "AZURE_API_KEY",
}


def settings_for(model: str, *, base_url: str | None = None, key: str | None = None) -> ModelSettings:
    """What HOLDFAST_MODEL, alone in the environment, means. A server of one's own at `base_url` may need no key."""
    provider = model.split("/", 1)[0] if "/" in model else "openai"
    known = key or (None if base_url else _KEYS.get(provider))
    deployment = Deployment(name="default", model=model, base_url=base_url, key=known)
    return ModelSettings(deployments=(deployment,), allow_unpriced=base_url is not None)
