"""What a worker stands on besides its servers. Told by the worker that lacks it, and by `holdfast up` before it starts one."""

from pathlib import Path

from holdfast.errors import Misconfigured
from holdfast.runtime.settings import Settings, TemporalSettings


def build_of(temporal: TemporalSettings) -> str:
    """The id of this build inside its worker deployment."""
    if not temporal.build_id:
        raise Misconfigured(
            f"Worker deployment {temporal.deployment!r} has no build id.",
            remedy="Set HOLDFAST_TEMPORAL__BUILD_ID, or unset HOLDFAST_TEMPORAL__DEPLOYMENT.",
        )
    return temporal.build_id


def server_file(settings: Settings) -> Path:
    """The file of MCP servers. One that is named must be there at the start; the one in the data folder may come later."""
    named = settings.tools.mcp_servers
    if named is not None and not named.is_file():
        raise Misconfigured(
            f"HOLDFAST_TOOLS__MCP_SERVERS names {named}, and there is no such file.",
            remedy=f"Correct it, or leave it out: then {settings.data_dir / 'mcp.yaml'} is read where there is one.",
        )
    return named or settings.data_dir / "mcp.yaml"
