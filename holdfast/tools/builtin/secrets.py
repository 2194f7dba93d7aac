"""Which secret a tool may use: one that its permissions name, and that this worker has."""

from holdfast.errors import Misconfigured, Unprocessable
from holdfast.sandbox.port import SecretSource
from holdfast.tools.declare import ToolContext


async def permitted(secrets: SecretSource, name: str, context: ToolContext) -> str:
    """The secret's value. It goes to its destination, and never into a result, a log or the sandbox."""
    known = context.spec.permissions.secrets
    if name not in known:
        raise Unprocessable(
            f"{context.spec.key} may not use the secret {name!r}; it may use {', '.join(known) or 'none'}.",
            remedy="Name it in a manifest's permissions.secrets; see docs/tools.md.",
        )
    value = await secrets.secret(name)
    if value is None:
        raise Misconfigured(
            f"This worker has no secret {name!r}.",
            remedy="Put it into the folder of HOLDFAST_TOOLS__SECRETS.",
        )
    return value
